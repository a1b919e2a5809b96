import type { AtollNode } from '@atoll/node'
import type { Violation } from '@atoll/sim'
import { countsOf } from '@atoll/vnode'
import type { Scene } from './scene.ts'

/** How often it is looked again, since something may be written meanwhile. */
const LOOKS = 20
const PAUSE_MS = 100

/** What every node says that it stores is what a walk over its records finds. */
export async function checkCounts({
  cluster,
  world,
}: Pick<Scene, 'cluster' | 'world'>): Promise<readonly Violation[]> {
  const violations: Violation[] = []
  for (const node of cluster.nodes) {
    await node.vnodes.counted
    for (let partition = 0; partition < node.vnodes.filed; partition++) {
      let message = await differences(node, partition)
      for (let look = 1; look < LOOKS && message !== undefined; look++) {
        await world.runtime('counts').clock.sleep(PAUSE_MS)
        message = await differences(node, partition)
      }
      if (message !== undefined) violations.push({ rule: 'counts', key: `partition ${partition}`, message })
    }
  }
  return violations
}

/** Undefined if there are none. A damaged record counts as what it was, and a walk cannot see that any more. */
async function differences({ name, vnodes }: AtollNode, partition: number): Promise<string | undefined> {
  const counted = vnodes.countsOf(partition)
  if (counted === undefined) return `${name} does not know what it has, though it has counted`
  const keys = await vnodes.count(partition)
  const records = [...counted.values()].reduce((sum, counts) => sum + counts.records, 0)
  if (records !== keys) return `${name} counts ${records} records, and has ${keys}`
  const walked = new Map<string, [records: number, bytes: number, tombstones: number]>()
  let sound = 0
  for await (const { id, record } of vnodes.fold(partition)) {
    const { records, bytes, tombstones } = countsOf(id, record)
    const before = walked.get(id.type) ?? [0, 0, 0]
    walked.set(id.type, [before[0] + records, before[1] + bytes, before[2] + tombstones])
    sound += records
  }
  if (sound < keys) return undefined
  const told = [...counted].map(([type, counts]) => [type, counts.records, counts.bytes, counts.tombstones])
  const found = [...walked].map(([type, counts]) => [type, ...counts])
  const [asTold, asFound] = [told.filter(([, records]) => records !== 0), found].map((rows) =>
    JSON.stringify(rows.sort()),
  )
  return asTold === asFound ? undefined : `${name} counts ${asTold}, and has ${asFound}`
}
