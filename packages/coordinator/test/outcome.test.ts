import { AtollError, type AtollErrorCode } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { unmetWrite } from '../src/outcome.ts'

const QUORUM = { n: 3, w: 2, dw: 2, pw: 0, sloppy: true }
const TALLY = { accepted: 0, durable: 0, primaries: 0, failed: 3 }

const FAILED = { quorum: QUORUM, tally: TALLY, down: [], timedOut: false }
const failuresOf = (errors: readonly AtollError[]) =>
  errors.map((error, at) => ({ node: `n${at + 1}`, error }))

function unmet(codes: readonly AtollErrorCode[]): AtollError {
  const errors = codes.map((code) => new AtollError(code, `it is ${code}`))
  return unmetWrite({ ...FAILED, failures: failuresOf(errors), definite: false })
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
      unmetWrite({ ...FAILED, failures: failuresOf(errors), definite: true })
    expect(refused([full, full, full])).toMatchObject({
      message: expect.stringMatching(/3 failed of 3; the first said: n2 has no room$/),
      details: { reason: 'reserve', failed: 3 },
    })
    expect(refused([full, gone])).toMatchObject({ code: 'ATOLL_QUORUM_UNMET' })
    expect(refused([full, gone]).details).not.toHaveProperty('reason')
  })

  test('names who was not asked, who cannot serve, and who has not answered', () => {
    const gone = new AtollError('ATOLL_UNREACHABLE', 'n2 is not up', { definite: true })
    const failures = [
      { node: 'n2', error: gone },
      { node: 'n3', error: undefined },
    ]
    const error = unmetWrite({ ...FAILED, failures, down: ['n4'], timedOut: true, definite: false })
    expect(error).toMatchObject({
      code: 'ATOLL_TIMEOUT',
      details: { down: ['n4'], unreachable: ['n2'], silent: ['n3'] },
    })
    expect(error.message).toContain('failed of 3, down: n4, unreachable: n2, silent: n3; the first said')
  })
})
