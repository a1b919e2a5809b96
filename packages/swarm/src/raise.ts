import { AtollError } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { Prng } from '@atoll/sim'
import { newestDocument, type Scene, SETS_TYPE, setKeys } from './scene.ts'
import { lookAtSet } from './set-work.ts'

const FEW_REPLICAS = 3
const MANY_REPLICAS = 5
/** By then nothing is left to move, if nobody is missing. */
const REST_MS = 3000
const EVERY_MS = 20
/** Rounds of looks, while the new replicas are being filled. */
const LOOKS = 10
const PAUSE_MS = 10

interface Raise {
  readonly prng: Prng
  /** Any member that runs. */
  readonly speaker: () => AtollNode
  readonly setReplicas: (type: string, n: number) => Promise<void>
}

/**
 * The sets get more replicas where lists are long enough already, from one to three or from three to five, and are read
 * meanwhile through every node, while the replicas that they have got are being filled.
 */
export async function raise(scene: Scene, { prng, speaker, setReplicas }: Raise): Promise<void> {
  const { world } = scene
  const { clock } = world.runtime('operator')
  for (let waitedMs = 0; !isAtRest(scene); waitedMs += EVERY_MS) {
    if (waitedMs >= REST_MS) throw new AtollError('ATOLL_CHANGE_REFUSED', 'there is something left to move')
    await clock.sleep(EVERY_MS)
  }
  const before = speaker().bucketTypes.get(SETS_TYPE).n
  const n = before < FEW_REPLICAS ? FEW_REPLICAS : MANY_REPLICAS
  if (before >= n || newestDocument(scene.cluster).width < n)
    throw new AtollError('ATOLL_CHANGE_REFUSED', `the lists are not long enough for more than ${before}`)
  world.note(`operator gives the sets ${n} replicas, after ${before}`)
  // The first of the new replicas is filled within milliseconds, where nothing is in the way.
  await Promise.all([setReplicas(SETS_TYPE, n), lookAround(scene, prng)])
  world.runtime('operator').probe.mark(`change.raise ${before} to ${n}`)
}

async function lookAround(scene: Scene, prng: Prng): Promise<void> {
  const { world, cluster, options } = scene
  const { clock } = world.runtime('operator')
  for (let round = 0; round < LOOKS; round++) {
    const awake = cluster.nodes.filter((node) => !world.isFrozen(node.name))
    const looks = awake.flatMap((node) =>
      setKeys(options).map((key) => lookAtSet(scene, { client: 'operator', key, node })),
    )
    await Promise.all(looks)
    await clock.sleep(prng.between(0, PAUSE_MS))
  }
}

export function isAtRest({ cluster }: Pick<Scene, 'cluster'>): boolean {
  const { moves, refills, resizing } = newestDocument(cluster)
  return moves.length === 0 && refills.length === 0 && resizing === undefined
}
