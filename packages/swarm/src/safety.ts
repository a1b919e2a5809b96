import { isAtollError } from '@atoll/core'
import { Nemesis, type NodesPort, type PlannedFault, planFaults } from '@atoll/sim'
import { runClient } from './client.ts'
import { damageOf } from './damage.ts'
import type { HouseOptions } from './options.ts'
import type { Scene } from './scene.ts'

/** Replicas are on three nodes and two have every acknowledged write: the data of one node may be lost, and no more. */
const MAX_DAMAGED = 1

export function drawFaults(scene: Scene): readonly PlannedFault[] {
  const { world, cluster, options } = scene
  if (Object.keys(options.faults).length === 0) return []
  return planFaults(world.prng.fork('faults'), {
    nodes: cluster.names,
    durationMs: options.durationMs,
    weights: options.faults,
    budget: { maxDown: options.maxDown, maxDamaged: MAX_DAMAGED },
  })
}

/** First phase: clients go about their business while everything goes wrong that was planned; then all is put right. */
export async function rage(scene: Scene, plan: readonly PlannedFault[]): Promise<void> {
  const { world, cluster, options } = scene
  const nodes = nodesPort(scene, plan)
  const nemesis = new Nemesis(
    world,
    { network: cluster.network, nodes },
    { fairDelayMs: { min: 0, max: options.maxDelayMs } },
  )
  const clients = clientNames(options).map((name) => runClient(scene, name))
  await Promise.all([nemesis.rage(plan), ...clients])
  await nemesis.heal()
  if (!options.blackout) return
  world.note('the lights go out')
  await Promise.all(cluster.names.map((name) => nodes.crash(name)))
  await Promise.all(cluster.names.map((name) => nodes.restart(name)))
}

function clientNames({ clients }: HouseOptions): readonly string[] {
  return Array.from({ length: clients }, (_, at) => `c${at + 1}`)
}

/** A node that cannot start on its damaged disk gets an empty one, as an operator would have it. */
function nodesPort({ world, cluster }: Scene, plan: readonly PlannedFault[]): NodesPort {
  const damaged = damageOf(plan).nodes
  return {
    crash: (name) => cluster.crash(name),
    restart: async (name) => {
      try {
        await cluster.restart(name)
      } catch (error) {
        const unreadable = isAtollError(error, 'ATOLL_CORRUPT') || isAtollError(error, 'ATOLL_FORMAT')
        if (!unreadable || !damaged.has(name)) throw error
        world.note(`${name} cannot read its disk (${error.message}) and gets a new one`)
        world.disk(name).wipe()
        await cluster.restart(name)
      }
    },
  }
}
