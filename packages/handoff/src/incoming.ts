import type { Gate } from '@atoll/vnode'
import type { HandoffKind } from './protocol.ts'

/** Where a partition stands at the node that another one speaks to. */
export interface Receiving {
  /** Of the transfer of the partition to another node, if there is one. */
  readonly gate: Gate | undefined
  /** The node that has handed the partition over to this one, and still forwards. */
  readonly inboundFrom: string | undefined
  /** Whether this node's document says that the partition is its own. */
  readonly isOwn: boolean
}

/**
 * Why records of another node are not taken now; undefined if they are. What comes for a vnode that is just leaving would be
 * overlooked, and what is about to be sent must not be given back. `isGiving` says that this node gives the partition away:
 * then what is here, and is offered, is not here for long.
 */
export function whyNotTaken(
  { kind, from }: { readonly kind: HandoffKind; readonly from: string },
  { gate, isGiving }: { readonly gate: Gate | undefined; readonly isGiving: boolean },
): string | undefined {
  if (isGiving && kind !== 'give-back') return 'is just being given away'
  if (gate === undefined || (kind === 'transfer' && gate.to === from)) return undefined
  if (gate.phase !== 'copying') return `is being handed over to ${gate.to}`
  return kind === 'give-back' && gate.to === from ? `moves to ${from}` : undefined
}

/**
 * What the word of another node means that it accepts nothing for a partition any more:
 *
 * - `accept`: this node serves what that one forwards.
 * - `come-back`: this node had handed the partition over to that one, which returns it.
 * - `later`: this node is just returning the partition to that one, which asks again.
 */
export function onSealed({ gate }: Pick<Receiving, 'gate'>, from: string): 'accept' | 'come-back' | 'later' {
  if (gate?.to !== from) return 'accept'
  if (gate.isReturn) return gate.phase === 'pausing' ? 'later' : 'accept'
  return gate.phase === 'copying' || gate.phase === 'pausing' ? 'accept' : 'come-back'
}

/**
 * What is done when the owner wants back what it had handed over to this node:
 *
 * - `return`: it goes back.
 * - `mine`: the document says that it is this node's own; the owner of before has to learn that first.
 * - `unsealed`: this node does not know, as after a restart, that it was handed over; it has to be told again.
 */
export function onAskedBack(
  { gate, inboundFrom, isOwn }: Receiving,
  from: string,
): 'return' | 'mine' | 'unsealed' {
  if (isOwn) return 'mine'
  const isUnderWay = gate?.isReturn === true && gate.to === from
  return isUnderWay || inboundFrom === from ? 'return' : 'unsealed'
}
