import { KiB, utf8 } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, it } from 'vitest'
import { SLIPS } from '../src/count-rows.ts'
import { Counters } from '../src/counters.ts'
import type { CountStep } from '../src/counts.ts'
import type { Database, VnodeHost } from '../src/index.ts'
import { keyText } from '../src/keys.ts'
import type { Operation } from '../src/ports.ts'
import { content, id, makeHost, testRuntime, write } from './world.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
const LARGE_BYTES = 4 * KiB

/** What a value log believes of what is dead: what is told, of values that are large enough to be in it. */
class Told {
  readonly #bytes = new Map<string, number>()
  /** Keys of which a large value was replaced by an operation that says less. */
  readonly missed = new Set<string>()
  replaced = 0

  see(operations: readonly Operation[]): void {
    for (const operation of operations) {
      const name = keyText(operation.key)
      const there = this.#bytes.get(name) ?? 0
      if (there >= LARGE_BYTES) {
        this.replaced += 1
        if ((operation.replacesBytes ?? 0) < there) this.missed.add(name)
      }
      if (operation.type === 'del') this.#bytes.delete(name)
      else this.#bytes.set(name, operation.value.length + (operation.tail?.length ?? 0))
    }
  }
}

function telling(told: Told): Database {
  const database = new MemoryLevel<Uint8Array, Uint8Array>({ ...VIEW })
  const batch = database.batch.bind(database) as unknown as Database['batch']
  return Object.assign(database, {
    batch: (...request: Parameters<Database['batch']>) => {
      told.see(request[0])
      return batch(...request)
    },
  }) as unknown as Database
}

const listed = (term: string, payloadBytes: number) => {
  const entry = { index: 'list', scope: utf8('s'), term: utf8(term), payload: new Uint8Array(payloadBytes) }
  return content('v', { indexes: [entry] })
}

async function replaceAll(host: VnodeHost): Promise<void> {
  for (const payloadBytes of [LARGE_BYTES, 10 * KiB, 5]) {
    await host.coordinate(write(id('blind'), listed('term', payloadBytes)))
    const first = await host.coordinate(write(id('kept'), listed('term', payloadBytes)))
    const second = await host.coordinate(write(id('kept'), listed('term', 8 * KiB), 1, first.record))
    const third = await host.coordinate(write(id('kept'), listed('other', 8 * KiB), 1, second.record))
    await host.coordinate(write(id('kept'), content('', { tombstone: true }), 1, third.record))
  }
  const vnode = host.handoffOf(1)
  await host.coordinate(write(id('removed'), listed('term', 8 * KiB)))
  const { records } = await vnode.page(undefined, { pageRecords: 10, pageBytes: 1e6 })
  for (const moving of records) await vnode.remove(moving)
}

it('whatever a large index entry goes for says so', async () => {
  const told = new Told()
  const host = makeHost(telling(told))
  await host.open()
  await replaceAll(host)
  await host.close()
  expect(told.replaced).toBeGreaterThan(8)
  expect([...told.missed]).toEqual([])
})

it('whatever a large row of counts goes for says so, also when it is known from before', async () => {
  const database = new MemoryLevel<Uint8Array, Uint8Array>({ ...VIEW }) as unknown as Database
  await database.open()
  const told = new Told()
  const parts = { runtime: testRuntime(), database, onUnknown: () => {} }
  const steps = (types: number) =>
    Array.from({ length: types }, (_, n): CountStep => {
      const change = { records: 1, bytes: 10, tombstones: 0 }
      const type = `${n}`.padStart(64, 't')
      return { kind: 'add', partition: n % 2, type, name: `${n}`, key: new Uint8Array([n]), ...change }
    })
  for (const types of [300, 2]) {
    const counters = new Counters(parts)
    await counters.load(8)
    for (let batch = 0; batch < SLIPS + 10; batch++) {
      const operations = counters.take(steps(types))
      told.see(operations)
      await database.batch([...operations], { ...VIEW, sync: false })
    }
  }
  expect(told.replaced).toBeGreaterThan(SLIPS)
  expect([...told.missed]).toEqual([])
  await database.close()
})
