import { checkInteger, describe, wrongRange } from '@atoll/core'
import type { NodeName, PreferenceEntry, ReplicaTable, Ring } from './ring.ts'
import { numberZones } from './zone-index.ts'

const NOBODY: ReadonlySet<NodeName> = new Set()

/** The largest n: replicas of one key. */
export const MAX_REPLICAS = 16

/**
 * Says who holds which partition: for each, the nodes of its preference list, one replica on each.
 *
 * A ring makes the lists by a walk: upwards from the partition, taking the owners that are distinct nodes, of distinct
 * zones while a zone is unused. Riak takes the next n partitions whoever owns them; where the claim keeps every window
 * of n partitions on distinct nodes and zones, the two are the same. But no claim can do that for, say, 64 partitions, 3
 * nodes and n = 3: to colour the power of a cycle C_Q^(n-1) takes n + ceil(r / q) colours, where Q = q n + r. With the
 * walk two replicas never meet on one node all the same. A cluster of fewer than n nodes gets shorter lists.
 *
 * A cluster whose ring changes hands its lists in: they follow the ring one replica at a time. The ring then says only in
 * which order other nodes stand in.
 *
 * The list of n is always the beginning of the list of n + 1, so that a change of n moves no replica.
 *
 * Make one per ring and keep it: lists are computed at first use and kept, at most 16 x partitions of them.
 */
export class Placement {
  readonly ring: Ring
  /** Which ring of the cluster's history this is; 0 where that is not known. */
  readonly epoch: number
  readonly #table: ReplicaTable | undefined
  readonly #behind: ReadonlySet<NodeName>
  /** Per partition: every node that owns any, in the order in which a walk from it meets them. */
  readonly #walks: (readonly NodeName[] | undefined)[]
  readonly #zones: ReadonlyMap<NodeName, number>
  /** By n. */
  readonly #primaries = new Map<number, readonly (readonly PreferenceEntry[])[]>()

  /**
   * `behind` are the nodes whose data is an older copy. Throws `TypeError` or `RangeError` unless `epoch` is an integer
   * from 0 on, and `table` has a list per partition.
   */
  constructor(
    ring: Ring,
    epoch = 0,
    {
      table,
      behind = NOBODY,
    }: { readonly table?: ReplicaTable; readonly behind?: ReadonlySet<NodeName> } = {},
  ) {
    this.ring = ring
    this.#behind = behind
    this.epoch = checkInteger('epoch', epoch, { min: 0, max: Number.MAX_SAFE_INTEGER })
    if (table !== undefined && table.length !== ring.partitions) {
      throw wrongRange('table', `must have a list per partition (${ring.partitions}), got ${table.length}`)
    }
    this.#table = table
    const nodes = [...new Set([...ring.owners, ...(table ?? []).flat()])]
    const zones = numberZones(nodes, ring.zones)
    this.#zones = new Map(nodes.map((node, at) => [node, zones[at] ?? 0]))
    this.#walks = new Array(ring.partitions)
  }

  /** The n nodes that hold a partition, or fewer while the cluster has no more. Always the same frozen array. */
  primaries(partition: number, n: number): readonly PreferenceEntry[] {
    const list = (this.#primaries.get(n) ?? this.#computePrimaries(n))[partition]
    if (list === undefined) throw this.#noPartition(partition)
    return list
  }

  /**
   * Who to ask for a partition now: the primaries that are up, in their order, and then one fallback for each primary
   * that is down. A fallback is the next node in ring order that is up and neither a primary, up or down, nor another
   * fallback; one in a zone where no member of the list is up goes first. Where no such node is left the list is shorter.
   */
  active(partition: number, n: number, isUp: (node: NodeName) => boolean): readonly PreferenceEntry[] {
    const primaries = this.primaries(partition, n)
    if (primaries.every((entry) => isUp(entry.node))) return primaries
    const list = primaries.filter((entry) => isUp(entry.node))
    const used = new Set(list.map((entry) => this.#zones.get(entry.node)))
    const held = new Set(primaries.map((entry) => entry.node))
    const spares = this.nodes(partition).filter((node) => isUp(node) && !held.has(node))
    while (list.length < primaries.length) {
      const fresh = spares.findIndex((node) => !used.has(this.#zones.get(node)))
      const [node] = spares.splice(Math.max(fresh, 0), 1)
      if (node === undefined) break
      used.add(this.#zones.get(node))
      list.push(this.fallback(partition, node))
    }
    return list
  }

  /** A node in the place of a primary of a partition. */
  fallback(partition: number, node: NodeName): PreferenceEntry {
    return this.#entry(partition, node, 'fallback')
  }

  /** Every node that may be asked for a partition: those that hold it, and then the others in ring order. */
  nodes(partition: number): readonly NodeName[] {
    const held = this.#table?.[partition] ?? []
    return [...held, ...this.#walk(partition).filter((node) => !held.includes(node))]
  }

  /** The partitions that a node holds a replica of, for keys with n replicas; in ascending order. */
  partitionsOf(node: NodeName, n: number): readonly number[] {
    const partitions = [...this.ring.owners.keys()]
    return partitions.filter((partition) => this.primaries(partition, n).some((entry) => entry.node === node))
  }

  #noPartition(value: unknown): RangeError {
    const last = this.ring.partitions - 1
    return wrongRange('partition', `must be an integer from 0 to ${last}, got ${describe(value)}`)
  }

  #walk(start: number): readonly NodeName[] {
    const known = this.#walks[start]
    if (known !== undefined) return known
    const { owners } = this.ring
    const walk = [...new Set([...owners.slice(start), ...owners.slice(0, start)])]
    this.#walks[start] = walk
    return walk
  }

  #computePrimaries(n: number): readonly (readonly PreferenceEntry[])[] {
    checkInteger('n', n, { min: 1, max: MAX_REPLICAS })
    const lists = this.ring.owners.map((_, partition) => {
      const nodes = this.#table?.[partition]?.slice(0, n) ?? this.#choose(partition, n)
      return Object.freeze(nodes.map((node) => this.#entry(partition, node, 'primary')))
    })
    this.#primaries.set(n, lists)
    return lists
  }

  #entry(partition: number, node: NodeName, role: PreferenceEntry['role']): PreferenceEntry {
    const entry = { partition, node, role, epoch: this.epoch }
    return Object.freeze(this.#behind.has(node) ? { ...entry, isBehind: true } : entry)
  }

  #choose(partition: number, n: number): readonly NodeName[] {
    const chosen: NodeName[] = []
    const skipped: NodeName[] = []
    const used = new Set<number | undefined>()
    for (const node of this.#walk(partition)) {
      if (chosen.length === n) break
      const zone = this.#zones.get(node)
      if (used.has(zone)) skipped.push(node)
      else chosen.push(node)
      used.add(zone)
    }
    return [...chosen, ...skipped.slice(0, n - chosen.length)]
  }
}

/** The lists that a ring makes, for n replicas. */
export function replicaTable(ring: Ring, n: number): ReplicaTable {
  const placement = new Placement(ring)
  return ring.owners.map((_, partition) => placement.primaries(partition, n).map(({ node }) => node))
}
