import { AtollError, type KeyId } from '@atoll/core'
import type { PassPlan } from './pass.ts'
import type { PassTally } from './pass-machine.ts'
import type { Place } from './sender.ts'

export interface GivenBack {
  /** Records that are not here any more. */
  readonly records: number
  /** What was stored of them. */
  readonly bytes: number
  /** Records that are still here: those that changed meanwhile, were refused, or are damaged. */
  readonly left: number
  /** Of those, damaged ones, which nobody can be given. */
  readonly corrupt: number
}

export interface GiveBackPlan {
  readonly partition: number
  /** All who hold what is given; one at least. */
  readonly to: readonly string[]
  /** Only records of this bucket type, which has fewer replicas than others: then the vnode may be this node's own. */
  readonly type?: string | undefined
}

export interface RefillRequest {
  /** By which a refill that was interrupted goes on where it was: 1 to 128 characters of `a-z A-Z 0-9 . _ : -`. */
  readonly id: string
  /** An own vnode, of which records are copied. */
  readonly partition: number
  /** Which vnodes shall have a record besides. */
  readonly select: (id: KeyId) => readonly Place[]
  readonly signal?: AbortSignal | undefined
}

export interface Refilled {
  /** Records that were sent, and what is stored of them, since this call. */
  readonly records: number
  readonly bytes: number
}

export interface HintPlan {
  readonly partition: number
  /** The node that missed records of the partition. */
  readonly node: string
  /**
   * Which vnodes shall have a record: that node, or those who hold the partition in its place; none of a record that it
   * does not hold.
   */
  readonly select: (id: KeyId) => readonly Place[]
}

/**
 * Over a vnode that this node does not hold by the document: what all its holders have is deleted here, unless it has
 * changed. A fallback does not know which of them it stood in for, and offers cost little where nothing is lacking.
 */
export function givingBack({ partition, to, type }: GiveBackPlan): PassPlan {
  const places = to.map((node) => ({ node, partition }))
  return { aim: { kind: 'give-back', type }, partition, to: to.join(' '), select: () => places }
}

/** Copies records of one vnode to others that lack them, behind a durable cursor. */
export function refilling({ id, partition, select }: Omit<RefillRequest, 'signal'>): PassPlan {
  return { aim: { kind: 'refill', id }, partition, to: '', select }
}

/**
 * Over what a node missed while it could not be reached: all of a partition, if that is owed, and then what was noted by
 * key. Each is offered as it is now, and a hint goes when the other node has the record, durably, and nobody noted it again
 * since.
 */
export function deliveringHints({ partition, node, select }: HintPlan): PassPlan {
  return { aim: { kind: 'hints', node }, partition, to: node, select }
}

/** Throws `ATOLL_OVERLOADED` or `ATOLL_CORRUPT` if something of what a node missed stays here. */
export function checkDelivered(
  { partition, node }: Pick<HintPlan, 'partition' | 'node'>,
  { refused, corrupt }: PassTally,
): void {
  if (refused + corrupt === 0) return
  const message = `${node} missed records of partition ${partition}, of which it does not take ${refused}, and ${corrupt} are damaged here`
  throw new AtollError(corrupt > 0 ? 'ATOLL_CORRUPT' : 'ATOLL_OVERLOADED', message)
}
