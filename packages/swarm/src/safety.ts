import { Nemesis, type NodesPort, type PlannedFault, planFaults } from '@atoll/sim'
import { runClient } from './client.ts'
import { collectMeanwhile } from './collecting.ts'
import { withoutBelieved } from './damage.ts'
import type { Operator } from './operator.ts'
import { faultsOf, type HouseOptions } from './options.ts'
import type { Scene } from './scene.ts'

/** Replicas are on three nodes and two have every acknowledged write: the data of one node may be lost, and no more. */
const MAX_DAMAGED = 1

export function drawFaults(scene: Scene, toCome: readonly string[]): readonly PlannedFault[] {
  const { world, cluster, options } = scene
  const weights = faultsOf(options)
  if (Object.keys(weights).length === 0) return []
  const drawn = planFaults(world.prng.fork('faults'), {
    nodes: [...cluster.names, ...toCome],
    durationMs: options.durationMs,
    weights,
    budget: { maxDown: options.maxDown, maxDamaged: MAX_DAMAGED },
  })
  const planned = options.theme === 'clock' ? withoutBelieved(drawn) : drawn
  for (const { fault } of planned) world.runtime('nemesis').probe.mark(`fault.${fault.kind}`)
  return planned
}

/** What the first phase is made of. */
export interface Rage {
  readonly faults: readonly PlannedFault[]
  readonly operator: Operator
  readonly nodes: NodesPort
}

/** First phase: clients go about their business while everything goes wrong that was planned; then all is put right. */
export async function rage(scene: Scene, { faults, operator, nodes }: Rage): Promise<void> {
  const { world, cluster, options } = scene
  const nemesis = new Nemesis(
    world,
    { network: cluster.network, nodes },
    { fairDelayMs: { min: 0, max: options.maxDelayMs } },
  )
  const clients = clientNames(options).map((name) => runClient(scene, name))
  await Promise.all([nemesis.rage(faults), operator.run(), collectMeanwhile(scene), ...clients])
  await nemesis.heal()
  if (!options.blackout) return
  world.note('the lights go out')
  await Promise.all(cluster.names.map((name) => nodes.crash(name)))
  await Promise.all(cluster.names.map((name) => nodes.restart(name)))
}

function clientNames({ clients }: HouseOptions): readonly string[] {
  return Array.from({ length: clients }, (_, at) => `c${at + 1}`)
}
