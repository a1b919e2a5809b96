import { checkInteger, describe } from '@atoll/core'
import type { NodeName, PreferenceEntry, Ring } from './ring.ts'
import { numberZones } from './zone-index.ts'

/** The largest n: replicas of one key. */
export const MAX_REPLICAS = 16

/**
 * Says which vnodes hold which slice of the key space. A slice has the number of its responsible partition, and its
 * replicas lie on the vnodes of its preference list.
 *
 * The list walks the ring upwards from the responsible partition and takes the first partitions whose owners are
 * distinct nodes, of distinct zones while a zone is unused. Riak takes the next n partitions whoever owns them; where
 * the claim keeps every window of n partitions on distinct nodes and zones, the two are the same. But no claim can do
 * that for, say, 64 partitions, 3 nodes and n = 3: to colour the power of a cycle C_Q^(n-1) takes n + ceil(r / q)
 * colours, where Q = q n + r. With the walk two replicas never meet on one node all the same. A cluster of fewer than n
 * nodes gets shorter lists: one replica on each node.
 *
 * The list of n is always the beginning of the list of n + 1, so that a change of n moves no replica.
 *
 * Make one per ring and keep it: lists are computed at first use and kept, at most 16 x partitions of them.
 */
export class Placement {
  readonly ring: Ring
  /** Which ring of the cluster's history this is; 0 where that is not known. */
  readonly epoch: number
  readonly #nodes: readonly NodeName[]
  /** Number of the owner of each partition, and of the zone of each node. */
  readonly #owner: Uint16Array
  readonly #zone: Uint16Array
  /** Per partition: the first partition of every node that a walk from it meets, in that order. */
  readonly #walks: (Uint16Array | undefined)[]
  /** By n. */
  readonly #primaries = new Map<number, readonly (readonly PreferenceEntry[])[]>()
  readonly #slices = new Map<number, readonly (readonly number[])[]>()

  /** Throws `TypeError` or `RangeError` unless `epoch` is an integer from 0 on. */
  constructor(ring: Ring, epoch = 0) {
    this.ring = ring
    this.epoch = checkInteger('epoch', epoch, { min: 0, max: Number.MAX_SAFE_INTEGER })
    this.#nodes = [...new Set(ring.owners)]
    const numbers = new Map(this.#nodes.map((node, number) => [node, number]))
    this.#owner = Uint16Array.from(ring.owners, (owner) => numbers.get(owner) ?? 0)
    this.#zone = numberZones(this.#nodes, ring.zones)
    this.#walks = new Array(ring.partitions)
  }

  /** The n primaries of a slice, or one per node if there are fewer nodes. Always the same frozen array. */
  primaries(slice: number, n: number): readonly PreferenceEntry[] {
    const list = (this.#primaries.get(n) ?? this.#computePrimaries(n))[slice]
    if (list === undefined) throw this.#noPartition(slice)
    return list
  }

  /**
   * Who to ask for a slice now: the primaries that are up, in their order, and then one fallback for each primary that
   * is down, in the order of those. A fallback is the next node in ring order that is up and neither a primary, up or
   * down, nor another fallback; one in a zone where no member of the list is up goes first. Where no such node is left
   * the list is shorter.
   */
  active(slice: number, n: number, isUp: (node: NodeName) => boolean): readonly PreferenceEntry[] {
    const primaries = this.primaries(slice, n)
    if (primaries.every((entry) => isUp(entry.node))) return primaries
    const list = primaries.filter((entry) => isUp(entry.node))
    const used = new Set(list.map((entry) => this.#zoneOf(entry.partition)))
    const spares = this.#spares(slice, primaries).filter((partition) => isUp(this.#nodeOf(partition)))
    for (const entry of primaries) {
      if (list.includes(entry)) continue
      const fresh = spares.findIndex((partition) => !used.has(this.#zoneOf(partition)))
      const [spare] = spares.splice(Math.max(fresh, 0), 1)
      if (spare === undefined) break
      used.add(this.#zoneOf(spare))
      list.push({ ...entry, node: this.#nodeOf(spare), role: 'fallback' })
    }
    return list
  }

  /** The slices of which a partition is a primary, in ascending order: mostly itself and the n - 1 below it. */
  slices(partition: number, n: number): readonly number[] {
    const slices = (this.#slices.get(n) ?? this.#computeSlices(n))[partition]
    if (slices === undefined) throw this.#noPartition(partition)
    return slices
  }

  /** The partitions that a node owns, in ascending order. */
  partitionsOf(node: NodeName): readonly number[] {
    return [...this.ring.owners.keys()].filter((partition) => this.ring.owners[partition] === node)
  }

  #noPartition(value: unknown): RangeError {
    const last = this.ring.partitions - 1
    return new RangeError(`partition must be an integer from 0 to ${last}, got ${describe(value)}`)
  }

  #nodeOf(partition: number): NodeName {
    return this.ring.owners[partition] ?? ''
  }

  #zoneOf(partition: number): number {
    return this.#zone[this.#owner[partition] ?? 0] ?? 0
  }

  /** A partition that a list takes is always the first one of its node, so that lists are chosen from walks. */
  #walk(start: number): Uint16Array {
    const known = this.#walks[start]
    if (known !== undefined) return known
    const { partitions } = this.ring
    const walk = new Uint16Array(this.#nodes.length)
    const met = new Uint8Array(this.#nodes.length)
    let length = 0
    for (let step = 0; step < partitions && length < walk.length; step++) {
      const partition = (start + step) % partitions
      const node = this.#owner[partition] ?? 0
      if (met[node] === 1) continue
      met[node] = 1
      walk[length++] = partition
    }
    this.#walks[start] = walk
    return walk
  }

  #computePrimaries(n: number): readonly (readonly PreferenceEntry[])[] {
    checkInteger('n', n, { min: 1, max: MAX_REPLICAS })
    const lists = this.ring.owners.map((_, slice) => Object.freeze(this.#choosePrimaries(slice, n)))
    this.#primaries.set(n, lists)
    return lists
  }

  #choosePrimaries(slice: number, n: number): PreferenceEntry[] {
    const chosen: number[] = []
    const skipped: number[] = []
    const used = new Set<number>()
    for (const partition of this.#walk(slice)) {
      if (chosen.length === n) break
      const zone = this.#zoneOf(partition)
      if (used.has(zone)) skipped.push(partition)
      else chosen.push(partition)
      used.add(zone)
    }
    const rest = skipped.slice(0, n - chosen.length)
    return [...chosen, ...rest].map((partition) =>
      Object.freeze({
        partition,
        node: this.#nodeOf(partition),
        role: 'primary' as const,
        epoch: this.epoch,
      }),
    )
  }

  #spares(slice: number, primaries: readonly PreferenceEntry[]): number[] {
    const taken = new Set(primaries.map((entry) => entry.partition))
    return Array.from(this.#walk(slice)).filter((partition) => !taken.has(partition))
  }

  #computeSlices(n: number): readonly (readonly number[])[] {
    const slices: number[][] = this.ring.owners.map(() => [])
    for (let slice = 0; slice < this.ring.partitions; slice++) {
      for (const entry of this.primaries(slice, n)) slices[entry.partition]?.push(slice)
    }
    this.#slices.set(n, slices)
    return slices
  }
}
