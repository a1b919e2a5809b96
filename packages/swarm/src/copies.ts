import { AtollError } from '@atoll/core'
import { isRestored } from '@atoll/membership'
import type { DiskCopy, NodesPort, Prng } from '@atoll/sim'
import { isAtRest } from './raise.ts'
import { newestDocument, type Scene, setKeys } from './scene.ts'
import { lookAtSet } from './set-work.ts'

/** Between the copies and their return. */
const AGE_MS = 2000
/** By then one that was put back has caught up, if the others are there. */
const CATCH_UP_MS = 20_000
const EVERY_MS = 100
/** For how long a copy runs beside its original. */
const BESIDE_MS = 3000

export interface Hands {
  readonly nodes: NodesPort
  readonly prng: Prng
}

/**
 * Every node is put back from a copy of its disk, one after the other, each when the one before has caught up. With
 * that nothing may be lost, as long as two replicas have every acknowledged write: fallbacks count for none, since what
 * a hint says is not in an older copy of it, and no disk may be damaged besides.
 */
export async function restoreAll(scene: Scene, { nodes, prng }: Hands): Promise<void> {
  const { world, cluster, options } = scene
  if (options.sloppy) throw refused('fallbacks have what others lack')
  const { clock } = world.runtime('operator')
  const copies = new Map<string, DiskCopy>()
  for (const name of prng.sample(cluster.names, cluster.names.length)) {
    checkWhole(scene)
    copies.set(name, await copyOf(scene, name, { nodes, prng }))
    await untilBack(scene, name)
  }
  await clock.sleep(prng.between(0, AGE_MS))
  for (const [name, copy] of copies) {
    checkWhole(scene)
    const before = generationOf(scene, name)
    world.note(`operator puts ${name} back from a copy`)
    await down(scene, name, async () => {
      await nodes.crash(name)
      world.disk(name).restore(copy)
    })
    await nodes.restart(name, { restored: true })
    await until(scene, () => generationOf(scene, name) !== before && !isCatchingUp(scene, name))
    world.runtime('operator').probe.mark('change.restore-all node')
  }
}

/**
 * A copy of a node is started at another address, while the original runs: nobody talks to it, and it answers nothing
 * wrong.
 */
export async function startBeside(scene: Scene, name: string, hands: Hands): Promise<void> {
  const { world, cluster, options, twin } = scene
  const { nodes, prng } = hands
  const { clock } = world.runtime('operator')
  const copy = await copyOf(scene, name, hands)
  await nodes.restart(name)
  await clock.sleep(prng.between(0, AGE_MS))
  const seeds = cluster.names.filter((other) => other !== name)
  await using node = await twin(name, { copy, seeds })
  world.note(`a copy of ${name} runs beside it`)
  world.runtime('operator').probe.mark('change.twin started')
  const endMs = clock.monotonicMs() + prng.between(1, BESIDE_MS)
  while (clock.monotonicMs() < endMs) {
    for (const key of setKeys(options)) await lookAtSet(scene, { client: 'operator', key, node })
    await clock.sleep(prng.between(1, BESIDE_MS / 4))
  }
  world.note(`the copy of ${name} is gone`)
}

/** Of a node that was closed, in order or by a power cut; it is started again by who asked. */
export async function copyOf(scene: Scene, name: string, { nodes, prng }: Hands): Promise<DiskCopy> {
  const { world } = scene
  let copy: DiskCopy | undefined
  await down(scene, name, async () => {
    if (prng.chance(700)) await nodes.stop(name)
    else await nodes.crash(name)
    copy = world.disk(name).copy()
  })
  await nodes.restart(name)
  if (copy === undefined) throw refused(`${name} was not copied`)
  return copy
}

/** Nobody starts the node meanwhile. */
export async function down({ grounded }: Scene, name: string, run: () => Promise<void>): Promise<void> {
  grounded.add(name)
  try {
    await run()
  } finally {
    grounded.delete(name)
  }
}

/** What one lacks the others have, and none of them is going. */
export function checkWhole(scene: Scene): void {
  const { cluster, world } = scene
  const { members } = newestDocument(cluster)
  const ready = [...members.values()].filter(
    ({ node, state }) =>
      state === 'valid' && cluster.names.includes(node) && cluster.isRunning(node) && !world.isFrozen(node),
  )
  if (ready.length < cluster.names.length || members.size > ready.length || !isAtRest(scene))
    throw refused('a node is missing, or something is left to move')
}

function untilBack(scene: Scene, name: string): Promise<void> {
  return until(scene, () => scene.cluster.isRunning(name) && isAtRest(scene))
}

export async function until({ world }: Scene, isSo: () => boolean): Promise<void> {
  const { clock } = world.runtime('operator')
  for (let waitedMs = 0; !isSo(); waitedMs += EVERY_MS) {
    if (waitedMs >= CATCH_UP_MS) throw refused('a node has not come back yet')
    await clock.sleep(EVERY_MS)
  }
}

export function generationOf({ cluster }: Scene, name: string): string | undefined {
  return newestDocument(cluster).members.get(name)?.generation
}

export function isCatchingUp({ cluster }: Scene, name: string): boolean {
  return newestDocument(cluster).refills.some((refill) => isRestored(refill) && refill.node === name)
}

function refused(why: string): AtollError {
  return new AtollError('ATOLL_CHANGE_REFUSED', why)
}
