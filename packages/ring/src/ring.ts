import { checkInteger, checkKnown, checkName, describe, wrongRange, wrongType } from '@atoll/core'

/** The name of a node: 1 to 64 characters of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`. */
export type NodeName = string

export const MAX_PARTITIONS = 1024

/** Who owns which partition. Immutable; `owners[p]` owns the hashes just below boundary `p`. */
export interface Ring {
  /** A power of two from 8 to 1024. */
  readonly partitions: number
  readonly owners: readonly NodeName[]
  /** Failure zone of each node; a node without an entry is a zone of its own. */
  readonly zones: ReadonlyMap<NodeName, string>
}

/**
 * For each partition the nodes that hold a replica of it, in the order of preference. The lists may be longer than n, and
 * are shorter where there are fewer nodes.
 */
export type ReplicaTable = readonly (readonly NodeName[])[]

/** One place of a preference list: the vnode that is the replica of `partition` on `node`. */
export interface PreferenceEntry {
  /** Of the key. The same for all entries of a list, so that a node keeps one copy, whatever part it plays. */
  readonly partition: number
  readonly node: NodeName
  readonly role: 'primary' | 'fallback'
  /** Of the placement that the list was made by, so that whoever is asked can tell an old list from a new one. */
  readonly epoch: number
  /** Only of a node whose data is an older copy that has not caught up yet: that it lacks something proves nothing. */
  readonly isBehind?: true
}

export interface RingOptions {
  readonly partitions: number
  /** One name per partition. */
  readonly owners: readonly NodeName[]
  /** May name nodes that own nothing. Zone names have the form of node names. Default: every node is its own zone. */
  readonly zones?: ReadonlyMap<NodeName, string>
}

/** Throws `TypeError` or `RangeError` if anything is not as `Ring` says. */
export function createRing(options: RingOptions): Ring {
  checkKnown('ring', options, ['partitions', 'owners', 'zones'])
  const partitions = checkPartitions(options.partitions)
  const owners = options.owners
  if (!Array.isArray(owners)) throw wrongType('owners', `must be an array, got ${describe(owners)}`)
  if (owners.length !== partitions) {
    throw wrongRange('owners', `must have one name per partition (${partitions}), got ${owners.length}`)
  }
  for (const owner of owners) checkNodeName('owners', owner)
  return { partitions, owners: Object.freeze([...owners]), zones: checkZones(options.zones ?? new Map()) }
}

/** Returns `value` if it is a number of partitions that a ring can have. */
export function checkPartitions(value: unknown): number {
  const partitions = checkInteger('partitions', value, { min: 8, max: MAX_PARTITIONS })
  if ((partitions & (partitions - 1)) !== 0) {
    throw wrongRange('partitions', `must be a power of two, got ${partitions}`)
  }
  return partitions
}

/** Returns `value` if a node can have that name; `name` says in a refusal what it would be the name of. */
export function checkNodeName(name: string, value: unknown): NodeName {
  return checkName(name, value)
}

/** Returns `value` if a failure zone can have that name. */
export function checkZoneName(value: unknown): string {
  return checkName('zone', value)
}

function checkZones(zones: unknown): ReadonlyMap<NodeName, string> {
  if (!(zones instanceof Map)) throw wrongType('zones', `must be a Map, got ${describe(zones)}`)
  const checked = new Map<NodeName, string>()
  for (const [node, zone] of zones) checked.set(checkNodeName('zones', node), checkZoneName(zone))
  return checked
}
