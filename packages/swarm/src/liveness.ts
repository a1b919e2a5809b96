import { encodeRecord } from '@atoll/causality'
import { type KeyId, utf8 } from '@atoll/core'
import type { AtollNode, Cluster } from '@atoll/node'
import { checkConvergence, describeOperation, type Violation, waitForQuiet } from '@atoll/sim'
import { readReplicas } from './finals.ts'
import { nameOf, recordId } from './names.ts'
import type { Operator } from './operator.ts'
import {
  elementsOf,
  newestDocument,
  objectKeys,
  readObject,
  type Scene,
  SETS_TYPE,
  setKeys,
} from './scene.ts'
import { checkDelivered, findStrays, keepersOfStrays } from './strays.ts'

/** Repairing reads at the same time. */
const READS = 16

/** Two heartbeats and their answers: by then everyone has found out which connections did not survive. */
const SETTLE_MS = 2000
/** Work that failed is tried again after half a minute at the latest, and it takes a few attempts at most. */
const QUIET = { everyMs: 500, withinMs: 240_000 }

/** What the second phase found. */
export interface Convergence {
  /** Every record that anybody has. */
  readonly ids: readonly KeyId[]
  readonly violations: readonly Violation[]
}

export interface Healing {
  readonly operator: Operator
  /** Whether somebody could always note what another one missed. */
  readonly isNoted: boolean
}

/** Second phase: nothing fails any more, so that everything has to come to rest, and to be the same everywhere. */
export async function convergence(scene: Scene, { operator, isNoted }: Healing): Promise<Convergence> {
  const { world, cluster } = scene
  await world.runtime('nemesis').clock.sleep(SETTLE_MS)
  const strays = await findStrays(scene)
  const finish = async () => [...(await operator.finish()), ...complaints(cluster)]
  await waitForQuiet(world, finish, QUIET)
  await cluster.idle()
  await countPastTheLimit(scene)
  for (const node of cluster.nodes) await addAfterwards(scene, node)
  // Who could not be told what to note is told a second later.
  await world.runtime('nemesis').clock.sleep(SETTLE_MS)
  const owed = () => (isNoted ? debts(cluster) : [])
  const atRest = async () => [...complaints(cluster), ...owed(), ...(await keepersOfStrays(scene))]
  await waitForQuiet(world, atRest, QUIET)
  const delivered = await checkDelivered(scene, strays)
  const ids = await everything(scene)
  const violations = isNoted ? [...delivered, ...(await checkWhole(scene, ids))] : delivered
  await repairAll(scene, ids)
  return { ids, violations }
}

/** All primaries hold the same of every record, deletions among them, and nobody has read anything for that. */
async function checkWhole(scene: Scene, ids: readonly KeyId[]): Promise<readonly Violation[]> {
  const differing = checkConvergence(await readReplicas(scene, ids))
  return differing.map((violation) => ({ ...violation, rule: 'missed' }))
}

/** What nodes still have to give to others that missed it. */
function debts({ nodes }: Cluster): string[] {
  return nodes.flatMap(({ name, cluster }) =>
    cluster.status().owed.map((owed) => `${name} owes ${JSON.stringify(owed)}`),
  )
}

/**
 * There is no anti-entropy yet: what a replica lacks because its write failed there and nobody stood in, reads repair.
 * What cannot be read now is found out by the final reads.
 */
async function repairAll(scene: Scene, ids: readonly KeyId[]): Promise<void> {
  const { world, cluster } = scene
  const reader = world.prng.fork('repairing reader').pick(cluster.nodes)
  for (let at = 0; at < ids.length; at += READS) {
    await Promise.all(ids.slice(at, at + READS).map((id) => reader.kv.get(id, { repair: true })))
    await cluster.idle()
  }
  for (const key of objectKeys(scene.options)) {
    await readObject(scene, reader, { key, repair: true }).catch(() => {})
    await cluster.idle()
  }
}

/** Every node serves again: a failure here is one of the run. */
async function addAfterwards({ world, sets, options }: Scene, node: AtollNode): Promise<void> {
  const [key = ''] = setKeys(options)
  const value = `after.${node.name}`
  const id = recordId(SETS_TYPE, key)
  const added = await sets.record({ client: 'after', kind: 'add', key, value }, async () => {
    if (options.recordBytes === 0) return void (await node.kv.put(id, { value: utf8(value) }))
    // Beside siblings that have come to more than a record may have there is no room for another one.
    const seen = await node.kv.get(id)
    await node.kv.put(id, { value: utf8([...elementsOf(seen), value].join(' ')), context: seen.context })
  })
  world.note(describeOperation(added))
  if (added.outcome !== 'ok') throw new Error(`${node.name} does not write, though all is well again`)
}

/** Of permitted writes merges have made what no write may make: otherwise the limit proves nothing. */
async function countPastTheLimit({ world, cluster, options }: Scene): Promise<void> {
  if (options.recordBytes === 0) return
  for (const node of cluster.nodes) {
    for (const partition of await node.vnodes.partitions()) {
      for await (const { record } of node.vnodes.fold(partition)) {
        const { head, body } = encodeRecord(record)
        if (head.length + body.length > options.recordBytes)
          world.runtime(node.name).probe.mark('record past the limit')
      }
    }
  }
}

/** What is not yet as it shall be: nodes that are down or unseen, documents that differ, changes that are not done. */
function complaints(cluster: Cluster): string[] {
  const { names, nodes } = cluster
  const down = names.filter((name) => !cluster.isRunning(name)).map((name) => `${name} is down`)
  if (down.length > 0) return down
  const unseen = nodes.flatMap((node) =>
    names.filter((other) => !node.isUp(other)).map((other) => `${node.name} takes ${other} for dead`),
  )
  const { epoch, moves, refills, resizing } = newestDocument(cluster)
  const behind = nodes
    .filter((node) => node.placement.epoch !== epoch)
    .map((node) => `${node.name} has epoch ${node.placement.epoch} and not ${epoch}`)
  const untold = nodes
    .filter((node) => node.cluster.status().mayBeOlderCopy)
    .map((node) => `${node.name} may be an older copy`)
  const owed = [...moves, ...refills, ...(resizing === undefined ? [] : [resizing])].map(
    (work) => `to be done: ${JSON.stringify(work)}`,
  )
  return [...unseen, ...behind, ...untold, ...owed]
}

async function everything({ cluster }: Scene): Promise<readonly KeyId[]> {
  const found = new Map<string, KeyId>()
  for (const node of cluster.nodes) {
    for (const partition of await node.vnodes.partitions()) {
      for await (const { id } of node.vnodes.fold(partition)) found.set(nameOf(id), id)
    }
  }
  return [...found.values()]
}
