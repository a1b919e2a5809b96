import { clockDigest, headDigest, type StoredRecord } from '@atoll/causality'
import { createWorld } from '@atoll/sim'
import { afterEach, describe, expect, it } from 'vitest'
import { HeadDigests } from '../src/head-digests.ts'
import type { VnodeHost } from '../src/index.ts'
import { content, id, makeHost, STORES, type TestStore, testRuntime, write } from './world.ts'

const { sha1 } = testRuntime().digest
const KEY = { partition: 1, id: id('k') }
const stores: TestStore[] = []

afterEach(() => {
  for (const store of stores.splice(0)) store.dispose()
})

/** The digest that the vnode answers is that of what it answers as a whole. */
async function expectSame(host: VnodeHost): Promise<StoredRecord | undefined> {
  const { record } = await host.get(KEY)
  const digest = record === undefined ? undefined : headDigest(record, sha1)
  for (let n = 0; n < 2; n++) {
    const reply = await host.get({ ...KEY, digestOnly: true })
    expect(reply).toEqual({ record: undefined, corrupt: false, digest })
  }
  return record
}

describe.each(STORES)('the digest of a record, on %s', (_name, make) => {
  it('is that of the record after every kind of write', async () => {
    const store = make()
    stores.push(store)
    const host = makeHost(store.database)
    await host.open()
    expect(await expectSame(host)).toBeUndefined()
    await host.coordinate(write(KEY.id, content('one')))
    const first = await expectSame(host)
    await host.coordinate(write(KEY.id, content('two'), 1, first))
    const second = await expectSame(host)
    expect(second).not.toEqual(first)
    const [sibling] = second?.siblings ?? []
    if (second === undefined || sibling === undefined) throw new Error('it has a sibling')
    const actor = 'ff00000000000001'
    const clock = new Map([...second.clock, [actor, 1] as const])
    const dot = { actor, counter: 1 }
    await host.put({ ...KEY, record: { clock, siblings: [...second.siblings, { ...sibling, dot }] } })
    expect((await expectSame(host))?.siblings).toHaveLength(2)
    const both = (await host.get(KEY)).record
    if (both === undefined) throw new Error('it is there')
    expect(await host.handoffOf(1).remove({ id: KEY.id, digest: clockDigest(both, sha1) })).toBe(true)
    expect(await expectSame(host)).toBeUndefined()
    await host.coordinate(write(KEY.id, content('three')))
    await expectSame(host)
    await host.drop(1)
    expect(await expectSame(host)).toBeUndefined()
    await host.close()
  })
})

describe('the digest of a record that is being written', () => {
  it('is that of what was written, or of what is read at the same time', async () => {
    const world = createWorld({ seed: 3 })
    const runtime = world.runtime('n1')
    await world.run(async () => {
      const host = makeHost(world.disk('n1').open(), runtime)
      await host.open()
      let before: StoredRecord | undefined
      for (let n = 0; n < 30; n++) {
        const writing = host.coordinate(write(KEY.id, content(`${n}`), 1, before))
        const reading = Array.from({ length: 3 }, async (_, at) => {
          await runtime.clock.sleep(at)
          return host.get({ ...KEY, digestOnly: true })
        })
        before = (await writing).record
        await Promise.all(reading)
        await expectSame(host)
      }
      await host.close()
    })
  })

  it('is not that of a write that has failed, nor of what was read while a failure was under way', async () => {
    const world = createWorld({ seed: 4, disk: { tornByFailure: true } })
    const runtime = world.runtime('n1')
    await world.run(async () => {
      const disk = world.disk('n1')
      const host = makeHost(disk.open(), runtime)
      await host.open()
      let before: StoredRecord | undefined
      for (let n = 0; n < 10; n++) {
        await expectSame(host)
        if (n % 3 === 1) disk.failWrites()
        const writing = host.coordinate(write(KEY.id, content(`${n}`), 1, before)).catch(() => undefined)
        const reading = host.get({ ...KEY, digestOnly: true })
        await Promise.all([writing, reading])
        await runtime.clock.sleep(10_000)
        before = await expectSame(host)
      }
      await host.close()
    })
  })
})

describe('digests that are kept', () => {
  it('are those of the keys that were asked for last, and no more than so many', () => {
    const digests = new HeadDigests(8)
    const of = (n: number) => Uint8Array.of(n)
    for (let n = 0; n < 100; n++) {
      digests.fill(digests.reading(`${n}`), of(n))
      digests.get('0')
    }
    expect(digests.get('0')).toEqual(of(0))
    expect(digests.get('99')).toEqual(of(99))
    const kept = Array.from({ length: 100 }, (_, n) => digests.get(`${n}`)).filter((one) => one !== undefined)
    expect(kept.length).toBeLessThanOrEqual(8)
  })

  it('are not those that were read before a write came to its end', () => {
    const digests = new HeadDigests(8)
    const slot = digests.reading('k')
    digests.forget('k')
    digests.fill(slot, Uint8Array.of(1))
    expect(digests.get('k')).toBeUndefined()
  })
})
