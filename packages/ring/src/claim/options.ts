import { checkInteger, checkKnown, describe, wrongRange, wrongType } from '@atoll/core'
import { MAX_REPLICAS } from '../placement.ts'
import { checkNodeName, checkPartitions, checkZoneName, type NodeName } from '../ring.ts'

/** A node that shall own partitions. */
export interface ClaimMember {
  readonly node: NodeName
  /** Its failure zone. Without one it is a zone of its own. */
  readonly zone?: string | undefined
}

export interface ClaimOptions {
  /** A power of two from 8 to 1024. */
  readonly partitions: number
  /** 1 to 1024 nodes, each once. Their order does not matter. */
  readonly members: readonly ClaimMember[]
  /** Replicas of a key, 1 to 16; default 3. */
  readonly n?: number
  /** Who owns each partition now; may name nodes that are no members any more. Default: nobody owns any. */
  readonly current?: readonly NodeName[] | undefined
}

export const CLAIM_DEFAULTS = { n: 3 } as const
const MAX_MEMBERS = 1024

/** Throws `TypeError` or `RangeError` if anything is not as `ClaimOptions` says. */
export function validateClaimOptions(options: ClaimOptions): void {
  checkKnown('claim', options, ['partitions', 'members', 'n', 'current'])
  const partitions = checkPartitions(options.partitions)
  if (options.n !== undefined) checkInteger('n', options.n, { min: 1, max: MAX_REPLICAS })
  checkMembers(options.members)
  const { current } = options
  if (current === undefined) return
  if (!Array.isArray(current)) throw wrongType('current', `must be an array, got ${describe(current)}`)
  if (current.length !== partitions) {
    throw wrongRange('current', `must have one name per partition (${partitions}), got ${current.length}`)
  }
  for (const owner of current) checkNodeName('current', owner)
}

function checkMembers(members: unknown): void {
  if (!Array.isArray(members)) throw wrongType('members', `must be an array, got ${describe(members)}`)
  if (members.length < 1 || members.length > MAX_MEMBERS) {
    throw wrongRange('members', `must be 1 to ${MAX_MEMBERS} nodes, got ${members.length}`)
  }
  const seen = new Set<NodeName>()
  for (const member of members) {
    checkKnown('member', member, ['node', 'zone'])
    const node = checkNodeName('node', member.node)
    if (seen.has(node)) throw wrongRange('members', `must name each node once, got "${node}" twice`)
    seen.add(node)
    if (member.zone !== undefined) checkZoneName(member.zone)
  }
}
