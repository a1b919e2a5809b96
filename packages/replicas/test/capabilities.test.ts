import { utf8 } from '@atoll/core'
import type { PeerCapabilities } from '@atoll/transport'
import { SCAN_GROUPS, WRITE_IDS } from '@atoll/vnode'
import { expect, test } from 'vitest'
import { scanFor } from '../src/capabilities.ts'

const GROUPS = { prefix: utf8(''), delimiter: utf8('/') }

test('a node of an earlier build is asked for every entry, one of now for the first of each group', () => {
  const peers: PeerCapabilities = {
    capabilitiesOf: (node) => {
      if (node === 'unknown') return undefined
      return new Set(node === 'new' ? [WRITE_IDS, SCAN_GROUPS] : [WRITE_IDS])
    },
  }
  const request = { limit: 10, groups: GROUPS }
  expect(scanFor(peers, 'new', request)).toBe(request)
  expect(scanFor(peers, 'old', request)).toEqual({ limit: 10, groups: undefined })
  expect(scanFor(peers, 'unknown', request)).toEqual({ limit: 10, groups: undefined })
  const plain = { limit: 10, groups: undefined }
  expect(scanFor(peers, 'old', plain)).toBe(plain)
})
