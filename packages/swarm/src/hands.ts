import { type AtollError, isAtollError } from '@atoll/core'
import type { NodesPort } from '@atoll/sim'
import type { Scene } from './scene.ts'

/**
 * What is done to nodes from outside. What is to be done to one twice, or to one that is not there, is done already. A node
 * that does not start now is started again later: it may need the others, or have left. One that cannot start on its damaged
 * disk gets an empty one, as an operator would have it.
 */
export function handsOn(
  { world, cluster, grounded, refusals, struck }: Scene,
  damaged: ReadonlySet<string>,
): NodesPort {
  /** Nodes of which the operator has not been able to say yet that their disk is an older copy. */
  const copies = new Set<string>()
  const isThere = (name: string) => cluster.names.includes(name)
  /** One that loses its power while it starts has lost it once it has started: it would go on on a disk that is gone. */
  const starting = new Set<string>()
  const start = async (name: string) => {
    starting.add(name)
    try {
      await cluster.restart(name, { restored: copies.has(name) })
    } finally {
      starting.delete(name)
    }
  }
  return {
    crash: async (name) => {
      if (!isThere(name) || starting.has(name)) struck.add(name)
      else if (cluster.isRunning(name)) await cluster.crash(name)
    },
    stop: async (name) => {
      if (isThere(name) && cluster.isRunning(name)) await cluster.stop(name).catch(unlessOurs)
    },
    restart: async (name, { restored = false } = {}) => {
      if (restored) copies.add(name)
      if (!isThere(name) || grounded.has(name) || starting.has(name)) return
      try {
        do {
          struck.delete(name)
          await start(name)
          if (struck.has(name)) await cluster.crash(name)
          else copies.delete(name)
          refusals.delete(name)
        } while (struck.has(name) && !grounded.has(name))
      } catch (error) {
        if (!isAtollError(error)) throw error
        refusals.set(name, error)
        world.note(`${name} does not start: ${error.code} ${error.message}`)
        if (!(isUnreadable(error) && damaged.has(name))) return
        world.disk(name).wipe()
        copies.delete(name)
      }
    },
  }
}

/** Whether a disk is why a node does not start. */
export function isUnreadable(error: AtollError): boolean {
  if (error.code === 'ATOLL_CORRUPT') return true
  return error.code === 'ATOLL_FORMAT' && !error.message.includes('has left the cluster')
}

/** A node that cannot close in order is closed all the same. */
function unlessOurs(error: unknown): void {
  if (!isAtollError(error)) throw error
}
