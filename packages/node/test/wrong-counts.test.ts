import { utf8 } from '@atoll/core'
import type { Derivation } from '@atoll/vnode'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type Cluster, createCluster } from '../src/index.ts'

type Change = Parameters<Derivation>[0]

/** Adds to what is counted of changes. */
function miscounting(records: (change: Change) => number): Derivation {
  return (change, { layout: { partition } }, { steps }) => {
    const { id, key, name } = change
    const added = records(change)
    if (added === 0) return
    const wrong = { records: added, bytes: 0, tombstones: 0 }
    steps.push({ kind: 'add', partition, type: id.type, key, name, ...wrong })
  }
}

const isNew = ({ before, after }: Change) => before === undefined && after !== undefined

const WRONG: readonly [string, Derivation][] = [
  ['too high: what has gone stays', miscounting((change) => (change.after === undefined ? 1 : 0))],
  ['too high: each record is two', miscounting((change) => (isNew(change) ? 1 : 0))],
  ['too low: no record is one', miscounting((change) => (isNew(change) ? -1 : 0))],
]

async function settle(cluster: Cluster): Promise<void> {
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('no node runs')
  await node.cluster.commit(await node.cluster.plan())
  await node.cluster.settled({ signal: AbortSignal.timeout(60_000) })
}

/** What each node holds of the keys, by the disk. */
async function holdersOf(cluster: Cluster, keys: readonly string[]): Promise<number> {
  let held = 0
  for (const { vnodes } of cluster.nodes) {
    for (let partition = 0; partition < vnodes.filed; partition++) {
      for await (const { id } of vnodes.fold(partition))
        if (keys.includes(new TextDecoder().decode(id.key))) held += 1
    }
  }
  return held
}

test.each(WRONG)('nothing is lost or endless where counts are %s', async (_, wrong) => {
  await using cluster = await createCluster({
    nodes: 3,
    partitions: 16,
    storage: () => new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' }),
  })
  const miscount = ({ vnodes }: Cluster['nodes'][number]) =>
    Object.assign(vnodes, { derivations: [...vnodes.derivations, wrong] })
  cluster.nodes.forEach(miscount)
  const keys = Array.from({ length: 40 }, (_, at) => `k${at}`)
  const idOf = (key: string) => ({ type: 'default', bucket: utf8('b'), key: utf8(key) })
  for (const key of keys) await cluster.node(1).kv.put(idOf(key), { value: utf8(`value of ${key}`) })
  miscount(await cluster.add('n4'))
  await settle(cluster)
  // What was moved is given back by who held it, and is gone there.
  await cluster.node(1).cluster.stage({ kind: 'leave', node: 'n1' })
  await settle(cluster)
  expect(await cluster.node('n1').left).toMatchObject({ kind: 'left' })
  await cluster.forget('n1')
  for (const key of keys) {
    const { values } = await cluster.node('n2').kv.get(idOf(key))
    expect(values.map(({ value }) => new TextDecoder().decode(value))).toEqual([`value of ${key}`])
  }
  expect(await holdersOf(cluster, keys)).toBe(3 * keys.length)
})
