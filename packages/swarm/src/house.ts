import { poisonReturned, shielded } from '@atoll/core'
import { createCluster, createNode } from '@atoll/node'
import { BLOCKS_TYPE, BUCKETS_TYPE, MANIFESTS_TYPE } from '@atoll/objects'
import { DiskCopy, type World } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import { BLOCKS } from './bodies.ts'
import type { Bug, Composition } from './bugs.ts'
import { Builds } from './builds.ts'
import { readingLate } from './lending.ts'
import { asBegunBefore, asOfBefore } from './older-rows.ts'
import { type HouseOptions, replicasOfSets } from './options.ts'
import { type House, OWN_TYPE, REGISTERS_TYPE, SETS_TYPE } from './scene.ts'
import { Watch } from './watch.ts'
import { watchEndpoints } from './watched-endpoints.ts'
import { watchHosts } from './watched-hosts.ts'

/** A cluster of which everything comes out of the world: time, chance, network, disks. */
export async function buildHouse(world: World, options: HouseOptions, bug: Bug): Promise<House> {
  const { nodes, partitions, zones, timeoutMs, maxDelayMs, sloppy } = options
  // Whoever looks at a block that was given back finds something else.
  poisonReturned()
  const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: 0, max: maxDelayMs } })
  const watch = new Watch()
  const builds = buildsOf(options, bug)
  watchEndpoints(builds, bug)
  const sound: Composition = {
    nodes,
    partitions,
    zones: zonesOf(nodes, zones),
    network,
    runtime: (name) => {
      const plain = world.runtime(name)
      return shielded({ ...plain, log: watch.heeding(name, plain.log) })
    },
    storage: (name) => {
      const disk = world.disk(name)
      if (builds.inherits(name)) disk.restore(DiskCopy.of(asOfBefore(disk.copy().entries)))
      return options.lends ? readingLate(disk.open(), world.runtime(name)) : disk.open()
    },
    onCrash: (name) => world.disk(name).crash(),
    bucketTypes: {
      [BUCKETS_TYPE]: { sloppy },
      [MANIFESTS_TYPE]: { sloppy },
      [BLOCKS_TYPE]: { sloppy },
      [`${OWN_TYPE}.manifests`]: { sloppy, policy: { kind: 'siblings' } },
      [`${OWN_TYPE}.blocks`]: { sloppy, policy: { kind: 'write-once' } },
      [SETS_TYPE]: { sloppy, n: replicasOfSets(options), policy: { kind: 'siblings' } },
      [REGISTERS_TYPE]: { sloppy, policy: { kind: 'last-write-wins' } },
    },
    // With little read ahead, who reads slowly asks for blocks late.
    objects: options.collecting ? { ...BLOCKS, readAhead: 1 } : BLOCKS,
    vnodes: vnodesOf(options),
    coordinator: { timeoutMs, attemptTimeoutMs: Math.min(timeoutMs, 1000) },
  }
  const built = bug.build?.(sound) ?? sound
  const storage = watched(world, watch, built.storage)
  const runtime: typeof sound.runtime = (name) => {
    // The cluster would make one of its own out of one that is not shielded, and nobody would watch that.
    const own = shielded(built.runtime(name))
    watchHosts(own, { watch, alter: bug.alter ?? (() => {}), alterNode: bug.alterNode ?? (() => {}) })
    return own
  }
  let impostors = 0
  const impostor = (name: string) => {
    const machine = `impostor ${++impostors} of ${name}`
    const disk = world.disk(machine)
    network.restore(name)
    const runtime = () => world.runtime(machine)
    const storage = () => disk.open()
    return createCluster({
      ...sound,
      nodes: [name],
      zones: {},
      runtime,
      storage,
      onCrash: () => disk.crash(),
    })
  }
  let twins = 0
  const twin: House['twin'] = (name, { copy, seeds }) => {
    const machine = `copy ${++twins} of ${name}`
    const disk = world.disk(machine)
    disk.restore(copy)
    const { bucketTypes, coordinator, objects, vnodes } = sound
    return createNode({
      name,
      runtime: world.runtime(machine),
      storage: watch.through(machine, disk.open()),
      transport: network.factory('memory', machine),
      seeds,
      bucketTypes,
      ...(coordinator && { coordinator }),
      ...(objects && { objects }),
      ...(vnodes && { vnodes }),
    })
  }
  if (builds.older.size > 0) await beginBefore(world, sound)
  return { cluster: await createCluster({ ...built, runtime, storage }), watch, builds, impostor, twin }
}

/** Databases that are seen through, and of which it is told when a copy has been put in their place. */
function watched(world: World, watch: Watch, storage: Composition['storage']): Composition['storage'] {
  const restorations = new Map<string, number>()
  return (name, runtime) => {
    const disk = world.disk(name)
    if (disk.restorations > (restorations.get(name) ?? 0)) watch.onRestored(name)
    const opened = watch.through(name, storage(name, runtime))
    restorations.set(name, disk.restorations)
    return opened
  }
}

/** A cluster that the build before has begun, and closed. */
async function beginBefore(world: World, sound: Composition): Promise<void> {
  const cluster = await createCluster(sound)
  await cluster.close()
  for (const name of cluster.names) {
    const disk = world.disk(name)
    disk.restore(DiskCopy.of(asBegunBefore(disk.copy().entries)))
  }
}

function vnodesOf({ recordBytes, inlineBytes }: HouseOptions): NonNullable<Composition['vnodes']> {
  return { ...(recordBytes === 0 ? {} : { recordBytes }), ...(inlineBytes === 0 ? {} : { inlineBytes }) }
}

/** All nodes begin as those of the build before where an operator upgrades them. */
function buildsOf({ nodes, changes }: HouseOptions, { ignoresBuilds = false }: Bug): Builds {
  const names = changes.upgrade === undefined ? [] : Array.from({ length: nodes }, (_, at) => `n${at + 1}`)
  return new Builds(names, { isHeeded: !ignoresBuilds })
}

function zonesOf(nodes: number, zones: number): Record<string, string> {
  if (zones === 0) return {}
  return Object.fromEntries(Array.from({ length: nodes }, (_, at) => [`n${at + 1}`, `z${at % zones}`]))
}
