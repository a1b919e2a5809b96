import { isAtollError } from '@atoll/core'
import type { Scene } from './scene.ts'
import type { Theme } from './themes.ts'

const ROUNDS = 4
const ROUNDS_OF_THEMES: Partial<Record<Theme, number>> = { lease: 12, clock: 60 }

/** What an operator has run from time to time: collection, on any node, while clients are busy. */
export async function collectMeanwhile({ world, cluster, options, doors }: Scene): Promise<void> {
  if (!options.collecting) return
  const prng = world.prng.fork('collector')
  const { clock } = world.runtime('collector')
  const rounds = ROUNDS_OF_THEMES[options.theme] ?? ROUNDS
  for (let round = 0; round < rounds; round++) {
    await clock.sleep(prng.between(0, Math.ceil((2 * options.durationMs) / rounds)))
    const nodes = cluster.nodes.filter((node) => doors.isOpen(node) && !world.isFrozen(node.name))
    if (nodes.length === 0) continue
    const node = prng.pick(nodes)
    await doors.through(node, async () => {
      try {
        const { versions, blocks, failed } = await node.objects.collect()
        world.note(`${node.name} has collected ${versions} versions, ${blocks} blocks, ${failed} failed`)
        world.runtime('collector').probe.mark(blocks > 0 ? 'collect.some' : 'collect.nothing')
      } catch (error) {
        if (!isAtollError(error)) throw error
        world.note(`${node.name} cannot collect: ${error.message}`)
      }
    })
  }
}
