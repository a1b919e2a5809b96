import { utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { expectCounts } from './counts.ts'
import { classicStore, collect, content, id, makeHost, testRuntime, write } from './world.ts'

const APART = { inlineBytes: 100 }
const bodyOf = (fill: number, bytes: number) => new Uint8Array(bytes).fill(fill)

describe('records with places', () => {
  const placed = (name: string, place: string) => ({ ...id(name), place: utf8(place) })

  it('are other records than those of the same key without, are listed with them, and survive', async () => {
    const store = classicStore()
    const first = makeHost(store.database, testRuntime(), APART)
    await first.open()
    const ids = [id('k'), placed('k', 'p'), placed('k', 'q'), placed('k2', 'p')]
    const indexes = [{ index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('x') }]
    for (const [number, of] of ids.entries())
      await first.coordinate(write(of, content(bodyOf(number, 50 + 200 * number), { indexes })))
    await first.close()
    const host = makeHost(store.again(), testRuntime(), APART)
    await host.open()
    for (const [number, of] of ids.entries()) {
      const { record } = await host.get({ partition: 1, id: of })
      expect(record?.siblings.map(({ value }) => value.length)).toEqual([50 + 200 * number])
    }
    // A place that equals the key is none.
    expect((await host.get({ partition: 1, id: placed('k', 'k') })).record).toBeDefined()
    const scan = (after?: { term: Uint8Array; bucket: Uint8Array; key: Uint8Array }) =>
      host.scan({
        vnodes: [{ partition: 1, slices: Array.from({ length: 8 }, (_, slice) => slice) }],
        type: 'default',
        index: 'list',
        scope: utf8('s'),
        from: undefined,
        to: undefined,
        after,
        limit: 1,
      })
    const found: (string | undefined)[] = []
    for (let page = await scan(); ; page = await scan(page.entries[0])) {
      for (const { key, place } of page.entries)
        found.push(`${Buffer.from(key)} ${place === undefined ? '-' : Buffer.from(place)}`)
      if (page.done) break
    }
    expect(found).toEqual(['k -', 'k p', 'k q', 'k2 p'])
    expect(await host.count(1)).toBe(4)
    await expectCounts(host)
    expect((await collect(host.fold(1))).map(({ id: of }) => of)).toEqual(expect.arrayContaining(ids))
    await host.close()
    store.dispose()
  })
})
