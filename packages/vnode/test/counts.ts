import type { KeyId } from '@atoll/core'
import { expect } from 'vitest'
import { type Counts, countsOf, NO_COUNTS } from '../src/counts.ts'
import type { VnodeHost } from '../src/index.ts'

/** What a walk over the records of a partition finds, by bucket type. */
export async function walked(host: VnodeHost, partition: number): Promise<ReadonlyMap<string, Counts>> {
  const found = new Map<string, Counts>()
  for await (const { id, record } of host.fold(partition)) add(found, id, countsOf(id, record))
  return found
}

/** What is counted, without bucket types of which there is nothing left. */
export function counted(host: VnodeHost, partition: number): ReadonlyMap<string, Counts> | undefined {
  const counts = host.countsOf(partition)
  return counts && new Map([...counts].filter(([, { records }]) => records > 0))
}

/**
 * That everything is counted, and that it is what a walk finds. Of a damaged record a walk finds only the key; it counts as
 * what it was.
 */
export async function expectCounts(host: VnodeHost, where = ''): Promise<void> {
  const sum = { ...NO_COUNTS }
  for (let partition = 0; partition < host.filed; partition++) {
    const found = await walked(host, partition)
    const keys = await host.count(partition)
    const known = counted(host, partition)
    expect(recordsIn(known), `${where} partition ${partition}`).toBe(keys)
    if (recordsIn(found) !== keys) return
    expect(known, `${where} partition ${partition}`).toEqual(found)
    for (const { records, bytes, tombstones } of found.values()) {
      sum.records += records
      sum.bytes += bytes
      sum.tombstones += tombstones
    }
  }
  expect(host.stored, where).toMatchObject({ ...sum, counting: 0 })
}

function recordsIn(counts: ReadonlyMap<string, Counts> | undefined): number | undefined {
  return counts && [...counts.values()].reduce((sum, { records }) => sum + records, 0)
}

function add(to: Map<string, Counts>, { type }: KeyId, { records, bytes, tombstones }: Counts): void {
  const before = to.get(type) ?? NO_COUNTS
  to.set(type, {
    records: before.records + records,
    bytes: before.bytes + bytes,
    tombstones: before.tombstones + tombstones,
  })
}
