import { utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { HERE, type Route } from '../src/route.ts'
import { splitScan } from '../src/scan-split.ts'

describe('a scan whose vnodes lie on several nodes', () => {
  it('asks each node once, with the way by which it goes there', () => {
    const routing = { role: 'primary', epoch: 2, forwards: 1, bySeal: false } as const
    const there: Route = { kind: 'forward', to: 'n2', routing }
    const vnodes = [1, 2, 3].map((partition) => ({ partition, slices: [partition] }))
    const place = { type: 'default', index: 'list', scope: utf8('s'), from: undefined, to: undefined }
    const parts = splitScan({ ...place, vnodes, after: undefined, limit: 10 }, [HERE, there, HERE])
    expect(
      parts.map(({ route, request }) => [route, request.vnodes.map(({ partition }) => partition)]),
    ).toEqual([
      [HERE, [1, 3]],
      [there, [2]],
    ])
  })
})
