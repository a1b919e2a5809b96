import { isAtollError } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { Prng } from '@atoll/sim'
import { bucketWork } from './bucket-work.ts'
import { getSlowly, objectWork, putInBurst, putSlowly } from './object-work.ts'
import type { HouseOptions } from './options.ts'
import { registerWork } from './register-work.ts'
import type { Scene } from './scene.ts'
import { setWork } from './set-work.ts'

/** Who asks for something, and how the next thing is drawn. */
export interface Client {
  readonly name: string
  readonly prng: Prng
  /** Names what the client writes: never the same twice. */
  readonly nextName: () => string
}

/** Something that a client may do. It records what came of it. */
export type Work = (scene: Scene, client: Client, node: AtollNode) => Promise<void>

/** What clients do, and how likely each is against the others. */
const WORK: readonly (readonly [number, Work])[] = [...objectWork, ...setWork, ...registerWork]

function lotsOf({ buckets, bursts, collecting, theme }: HouseOptions): readonly Work[] {
  const slow: readonly (readonly [number, Work])[] = collecting
    ? [
        [theme === 'lease' ? 40 : 4, putSlowly],
        [theme === 'clock' ? 20 : 2, getSlowly],
      ]
    : []
  const often: readonly (readonly [number, Work])[] = bursts ? [[6, putInBurst]] : []
  const work = [...WORK, ...(buckets ? bucketWork : []), ...slow, ...often]
  return work.flatMap(([weight, one]) => new Array<Work>(weight).fill(one))
}

/** One client does one thing after the other, each through a node that runs, and thinks in between. */
export async function runClient(scene: Scene, name: string): Promise<void> {
  const { world, cluster, options, doors } = scene
  const prng = world.prng.fork(`client ${name}`)
  const { clock } = world.runtime(name)
  const thinkMs = Math.ceil((2 * options.durationMs) / options.operations)
  const lots = lotsOf(options)
  let named = 0
  const client = { name, prng, nextName: () => `${name}.${++named}` }
  for (let done = 0; done < options.operations; done++) {
    await clock.sleep(prng.between(0, thinkMs))
    const nodes = cluster.nodes.filter((node) => doors.isOpen(node) && !world.isFrozen(node.name))
    if (nodes.length === 0) continue
    const work = prng.pick(lots)
    const node = prng.pick(nodes)
    await doors.through(node, () => work(scene, client, node))
  }
}

/** What `get` answers, or nothing where there is no such object. */
export async function orNothing<T>(get: Promise<T>): Promise<T | undefined> {
  try {
    return await get
  } catch (error) {
    if (isAtollError(error, 'ATOLL_OBJECT_NOT_FOUND')) return undefined
    throw error
  }
}
