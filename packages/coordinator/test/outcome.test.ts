import { AtollError, type AtollErrorCode } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { unmetWrite } from '../src/outcome.ts'

const QUORUM = { n: 3, w: 2, dw: 2, pw: 0, sloppy: true }
const TALLY = { accepted: 0, durable: 0, primaries: 0, failed: 3 }

function unmet(codes: readonly AtollErrorCode[]): AtollError {
  const errors = codes.map((code) => new AtollError(code, `it is ${code}`))
  return unmetWrite({ quorum: QUORUM, tally: TALLY, errors, timedOut: false, definite: false })
}

describe('a write that its quorum was not met for', () => {
  test('says that the disks are full if all of them are, and for no other reason of a replica', () => {
    expect(unmet(['ATOLL_DISK_FULL', 'ATOLL_DISK_FULL', 'ATOLL_DISK_FULL'])).toMatchObject({
      code: 'ATOLL_DISK_FULL',
      transient: true,
      definite: false,
    })
    expect(unmet(['ATOLL_DISK_FULL', 'ATOLL_UNREACHABLE']).code).toBe('ATOLL_QUORUM_UNMET')
    expect(unmet(['ATOLL_STORAGE', 'ATOLL_STORAGE']).code).toBe('ATOLL_QUORUM_UNMET')
  })

  test('says why, in the words of the first that refused, and with its reason if that is the reason of all', () => {
    const full = new AtollError('ATOLL_DISK_FULL', 'n2 has no room', {
      definite: true,
      details: { reason: 'reserve' },
    })
    const gone = new AtollError('ATOLL_UNREACHABLE', 'n3 is not up')
    const refused = (errors: readonly AtollError[]) =>
      unmetWrite({ quorum: QUORUM, tally: TALLY, errors, timedOut: false, definite: true })
    expect(refused([full, full, full])).toMatchObject({
      message: expect.stringMatching(/3 failed of 3; the first said: n2 has no room$/),
      details: { reason: 'reserve', failed: 3 },
    })
    expect(refused([full, gone])).toMatchObject({ code: 'ATOLL_QUORUM_UNMET' })
    expect(refused([full, gone]).details).not.toHaveProperty('reason')
  })
})
