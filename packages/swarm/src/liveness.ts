import { type KeyId, toHex, utf8 } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { describeOperation, waitForQuiet } from '@atoll/sim'
import { objectKeys, readObject, recordId, type Scene, SETS_TYPE, setKeys } from './scene.ts'

/** Repairing reads at the same time. */
const READS = 16

/** Two heartbeats and their answers: by then everyone has found out which connections did not survive. */
const SETTLE_MS = 2000

/** Second phase: nothing fails any more, so that everything has to come to rest, and to be the same everywhere. */
export async function convergence(scene: Scene): Promise<readonly KeyId[]> {
  const { world, cluster } = scene
  await world.runtime('nemesis').clock.sleep(SETTLE_MS)
  await waitForQuiet(world, async () => complaints(cluster.nodes, cluster.names))
  await cluster.idle()
  for (const node of cluster.nodes) await addAfterwards(scene, node)
  const ids = await bringHome(scene)
  const reader = world.prng.fork('repairing reader').pick(cluster.nodes)
  for (let at = 0; at < ids.length; at += READS) {
    await Promise.all(ids.slice(at, at + READS).map((id) => reader.kv.get(id, { repair: true })))
    await cluster.idle()
  }
  for (const key of objectKeys(scene.options)) {
    // What cannot be read now is found out by the final read.
    await readObject(scene, reader, { key, repair: true }).catch(() => {})
    await cluster.idle()
  }
  return ids
}

/** Every node serves again: a failure here is one of the run. */
async function addAfterwards({ world, sets, options }: Scene, node: AtollNode): Promise<void> {
  const [key = ''] = setKeys(options)
  const value = `after.${node.name}`
  const added = await sets.record({ client: 'after', kind: 'add', key, value }, () =>
    node.kv.put(recordId(SETS_TYPE, key), { value: utf8(value) }),
  )
  world.note(describeOperation(added))
  if (added.outcome !== 'ok') throw new Error(`${node.name} does not write, though all is well again`)
}

function complaints(running: readonly AtollNode[], names: readonly string[]): string[] {
  const down = names
    .filter((name) => !running.some((node) => node.name === name))
    .map((name) => `${name} is down`)
  const unseen = running.flatMap((node) =>
    names.filter((other) => !node.isUp(other)).map((other) => `${node.name} takes ${other} for dead`),
  )
  return [...down, ...unseen]
}

/**
 * Answers every record that anybody holds, and gives those that a fallback holds to the primary that it stood in for.
 * That is hinted handoff, done by hand: what is checked thereafter is that an acknowledged write was somewhere.
 */
async function bringHome({ cluster }: Scene): Promise<readonly KeyId[]> {
  const found = new Map<string, KeyId>()
  for (const node of cluster.nodes) {
    for (const partition of await node.vnodes.partitions()) {
      const owner = cluster.ring.owners[partition] ?? ''
      for await (const { id, record } of node.vnodes.fold(partition)) {
        found.set(nameOf(id), id)
        if (owner !== node.name) await cluster.node(owner).vnodes.put({ partition, id, record })
      }
    }
  }
  return [...found.values()]
}

export function nameOf({ type, bucket, key }: KeyId): string {
  return `${type}/${toHex(bucket)}/${toHex(key)}`
}
