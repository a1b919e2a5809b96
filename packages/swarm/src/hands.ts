import { isAtollError } from '@atoll/core'
import type { NodesPort } from '@atoll/sim'
import type { Scene } from './scene.ts'

/** What is done to nodes from outside. What is to be done to one twice, or to one that is not there, is done already. */
export function handsOn({ world, cluster }: Scene, damaged: ReadonlySet<string>): NodesPort {
  const isThere = (name: string) => cluster.names.includes(name)
  return {
    crash: async (name) => {
      if (isThere(name) && cluster.isRunning(name)) await cluster.crash(name)
    },
    restart: async (name) => {
      if (!isThere(name)) return
      try {
        await cluster.restart(name)
      } catch (error) {
        // A node that cannot start on its damaged disk gets an empty one, as an operator would have it.
        const unreadable = isAtollError(error, 'ATOLL_CORRUPT') || isAtollError(error, 'ATOLL_FORMAT')
        if (!unreadable || !damaged.has(name)) throw error
        world.note(`${name} cannot read its disk (${error.message}) and gets a new one`)
        world.disk(name).wipe()
        await cluster.restart(name)
      }
    },
  }
}

/** Starts every node that is down. One whose disk is empty is taken back by the others: it comes after them. */
export async function startAll({ cluster }: Scene, nodes: NodesPort): Promise<void> {
  const outcomes = await Promise.allSettled(cluster.names.map((name) => nodes.restart(name)))
  if (outcomes.every(({ status }) => status === 'fulfilled')) return
  for (const name of cluster.names) await nodes.restart(name)
}
