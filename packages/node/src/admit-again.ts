import { isAtollError } from '@atoll/core'
import type { Change } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import type { ClusterControl } from './cluster-control.ts'

/** Attempts to take a node back, while others change the cluster, too. */
const MAX_TRIES = 5

/**
 * Has a majority decide that a node without data is a member again, under its old name and with a new id. Others may change
 * the cluster at the same time, so that a plan is stale: then it is tried again, by what `control` knows then.
 */
export async function admitAgain(control: () => ClusterControl, node: NodeName, id: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await replaceByItself(control(), node, id)
    } catch (error) {
      const wasBehind = isAtollError(error, 'ATOLL_STALE_PLAN') || isAtollError(error, 'ATOLL_CHANGE_REFUSED')
      if (tries === MAX_TRIES || !wasBehind) throw error
    }
  }
}

/** A node that had not joined yet, or has left, joins anew; one that was about to go, and has lost its data, is gone. */
async function replaceByItself(cluster: ClusterControl, node: NodeName, id: string): Promise<void> {
  const { members, staged } = cluster.document
  const own = members.get(node)
  if (own === undefined || own.id === id) return
  if (own.state === 'joining') {
    await cluster.unstage(node)
    return
  }
  const change: Change =
    own.state === 'exiting' ? { kind: 'force-remove', node } : { kind: 'force-replace', node, by: node, id }
  // What is staged for it counted on data that it has lost.
  const isStale = (other: Change) =>
    other.kind !== 'resize' && other.node === node && !('id' in other && other.id === id)
  if (staged.some((other) => other.kind !== 'zone' && isStale(other))) await cluster.unstage(node)
  await cluster.stage(change)
  await cluster.commit(await cluster.plan())
}
