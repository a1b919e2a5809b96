import { type Cluster, createCluster } from '@atoll/node'
import { BLOCKS_TYPE, BUCKETS_TYPE, MANIFESTS_TYPE } from '@atoll/objects'
import type { World } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import type { Bug, Composition } from './bugs.ts'
import type { HouseOptions } from './options.ts'
import { REGISTERS_TYPE, SETS_TYPE } from './scene.ts'

/** Small ones, so that an object has several and a run costs little. */
const BLOCKS = { blockBytes: 4096, inlineBytes: 256 }

/** A cluster of which everything comes out of the world: time, chance, network, disks. */
export function buildHouse(world: World, options: HouseOptions, bug: Bug): Promise<Cluster> {
  const { nodes, partitions, zones, timeoutMs, maxDelayMs, sloppy } = options
  const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: 0, max: maxDelayMs } })
  const sound: Composition = {
    nodes,
    partitions,
    zones: zonesOf(nodes, zones),
    network,
    runtime: (name) => world.runtime(name),
    storage: (name) => world.disk(name).open(),
    onCrash: (name) => world.disk(name).crash(),
    bucketTypes: {
      [BUCKETS_TYPE]: { sloppy },
      [MANIFESTS_TYPE]: { sloppy },
      [BLOCKS_TYPE]: { sloppy },
      [SETS_TYPE]: { sloppy, policy: { kind: 'siblings' } },
      [REGISTERS_TYPE]: { sloppy, policy: { kind: 'last-write-wins' } },
    },
    objects: BLOCKS,
    coordinator: { timeoutMs, attemptTimeoutMs: Math.min(timeoutMs, 1000) },
  }
  return createCluster(bug.build(sound))
}

function zonesOf(nodes: number, zones: number): Record<string, string> {
  if (zones === 0) return {}
  return Object.fromEntries(Array.from({ length: nodes }, (_, at) => [`n${at + 1}`, `z${at % zones}`]))
}
