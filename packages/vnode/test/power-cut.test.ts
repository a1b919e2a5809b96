import { createWorld, type SimDisk, type SimRuntime } from '@atoll/sim'
import { describe, expect, it } from 'vitest'
import type { VnodeHost } from '../src/index.ts'
import { content, id, makeHost, valuesOf, write } from './world.ts'

/** What clients know at the end. */
interface Knowledge {
  /** Values by key that were acknowledged. */
  readonly acknowledged: Map<string, Set<string>>
  /** The value that each dot stands for. */
  readonly dots: Map<string, string>
}

async function openHost(disk: SimDisk, runtime: SimRuntime, inlineBytes = 16_384): Promise<VnodeHost> {
  const host = makeHost(disk.open(), runtime, { inlineBytes })
  await host.open()
  return host
}

async function writeOne(host: VnodeHost, key: string, value: string, known: Knowledge): Promise<void> {
  const answer = await host.coordinate(write(id(key), content(value))).catch((error) => {
    expect(error.code).toMatch(/^ATOLL_(STORAGE|CLOSED)$/)
  })
  if (answer === undefined) return
  known.acknowledged.set(key, (known.acknowledged.get(key) ?? new Set()).add(value))
  for (const { dot, value: bytes } of answer.record.siblings) {
    const name = `${key} ${dot.actor} ${dot.counter}`
    const text = Buffer.from(bytes).toString()
    expect(known.dots.get(name) ?? text).toBe(text)
    known.dots.set(name, text)
  }
}

async function lostWrites(host: VnodeHost, { acknowledged }: Knowledge): Promise<string[]> {
  const lost: string[] = []
  for (const [key, values] of acknowledged) {
    const there = new Set(valuesOf((await host.get({ partition: 1, id: id(key) })).record))
    lost.push(...[...values].filter((value) => !there.has(value)))
  }
  return lost
}

describe('power cuts', () => {
  it('take no acknowledged write and repeat no dot, whenever they come', async () => {
    let writes = 0
    for (let seed = 0; seed < 15; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const known: Knowledge = { acknowledged: new Map(), dots: new Map() }
        for (let life = 0; life < 4; life++) {
          const host = await openHost(disk, runtime, seed % 2 === 0 ? 1 : undefined)
          const writing = Array.from({ length: 20 }, async (_, at) => {
            await runtime.clock.sleep(runtime.random.below(8))
            await writeOne(host, `k${at % 3}`, `${life}/${at}`, known)
          })
          await runtime.clock.sleep(runtime.random.below(10))
          disk.crash()
          await Promise.all(writing)
          await host.close().catch(() => {})
        }
        const host = await openHost(disk, runtime)
        expect(await lostWrites(host, known), `seed ${seed}`).toEqual([])
        await host.close()
        writes += known.dots.size
      })
    }
    expect(writes).toBeGreaterThan(150)
  })

  it('never leave a partition that was being dropped with its actor and without its records', async () => {
    const outcomes = new Set<string>()
    for (let seed = 0; seed < 60; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const first = await openHost(disk, runtime)
        const { record: before } = await first.coordinate(write(id('k'), content('old')))
        const dropping = first.drop(1).catch(() => {})
        await runtime.clock.sleep(runtime.random.below(3000) / 1000)
        disk.crash()
        await dropping
        await first.close().catch(() => {})
        const second = await openHost(disk, runtime)
        const isThere = (await second.count(1)) > 0
        const { record: after } = await second.coordinate(write(id('other'), content('new')))
        const sameActor = after.siblings[0]?.dot.actor === before.siblings[0]?.dot.actor
        outcomes.add(`${isThere ? 'records' : 'none'}, ${sameActor ? 'same' : 'new'} actor`)
        await second.close()
      })
    }
    expect([...outcomes].sort()).toEqual(['none, new actor', 'records, new actor', 'records, same actor'])
  })
})
