import { NOBODY, type Problem } from './problem.ts'
import { MUST_COST, type Spacing } from './spacing.ts'

/**
 * An assignment under change. It keeps, for every partition, what each node would cost there, so that a change is
 * weighed in constant time and made in time proportional to the reach of the spacing.
 */
export class Board {
  readonly problem: Problem
  readonly spacing: Spacing
  readonly owners: Int16Array
  readonly counts: Int32Array
  /** Partitions that are not at home. */
  moves: number
  /** What all pairs that are too close cost together. */
  cost = 0
  /** Per partition and node, and per partition and zone: the cost of the pairs that it would make. */
  readonly #nodeCost: Int32Array
  readonly #zoneCost: Int32Array

  constructor(problem: Problem, spacing: Spacing, owners: Int16Array) {
    this.problem = problem
    this.spacing = spacing
    this.owners = new Int16Array(problem.partitions).fill(NOBODY)
    this.counts = new Int32Array(problem.nodes)
    this.moves = problem.partitions
    this.#nodeCost = new Int32Array(problem.partitions * problem.nodes)
    this.#zoneCost = new Int32Array(problem.partitions * problem.zones)
    for (const [partition, owner] of owners.entries()) if (owner !== NOBODY) this.place(partition, owner)
  }

  ownerOf(partition: number): number {
    return this.owners[partition] ?? NOBODY
  }

  homeOf(partition: number): number {
    return this.problem.home[partition] ?? NOBODY
  }

  countOf(node: number): number {
    return this.counts[node] ?? 0
  }

  /** Gives a partition to a node, and takes it from the one that has it. */
  place(partition: number, node: number): void {
    const before = this.ownerOf(partition)
    if (before !== NOBODY) {
      this.#add(partition, before, -1)
      this.cost -= this.costAt(partition, before)
    }
    this.cost += this.costAt(partition, node)
    this.#add(partition, node, 1)
    this.moves += this.movesAt(partition, node) - this.movesAt(partition, before)
    this.owners[partition] = node
  }

  /** What the pairs of `partition` cost if `node` has it. */
  costAt(partition: number, node: number): number {
    const { nodes, zones, zone } = this.problem
    const own = this.#nodeCost[partition * nodes + node] ?? 0
    return own + (this.#zoneCost[partition * zones + (zone[node] ?? 0)] ?? 0)
  }

  /** 1 if it would be a move for `node` to have the partition. */
  movesAt(partition: number, node: number): number {
    return node !== NOBODY && this.homeOf(partition) === node ? 0 : 1
  }

  /** By how much `cost` would change if the owners of two partitions changed places. */
  swapCost(p: number, q: number): number {
    const a = this.ownerOf(p)
    const b = this.ownerOf(q)
    const change = this.costAt(p, b) + this.costAt(q, a) - this.costAt(p, a) - this.costAt(q, b)
    const { partitions } = this.problem
    const up = q > p ? q - p : q - p + partitions
    const { reach } = this.spacing
    if (up > reach && partitions - up > reach) return change
    // Two close partitions still make the same pair afterwards, but the tables count each as if the other stayed.
    return change - 2 * (this.#unlike(up, a, b) + this.#unlike(partitions - up, a, b))
  }

  /** Whether a partition is closer to another of its node or zone than it must be. */
  violates(): boolean {
    return this.owners.some((owner, partition) => this.costAt(partition, owner) >= MUST_COST)
  }

  /** What a pair of one node at this distance costs more than one of `a` and `b`. */
  #unlike(distance: number, a: number, b: number): number {
    const { zone } = this.problem
    const node = this.spacing.node[distance] ?? 0
    return zone[a] === zone[b] ? node : node + (this.spacing.zone[distance] ?? 0)
  }

  #add(partition: number, node: number, sign: number): void {
    const { partitions, nodes, zones, zone } = this.problem
    const { reach, node: nodeCosts, zone: zoneCosts } = this.spacing
    const itsZone = zone[node] ?? 0
    this.counts[node] = (this.counts[node] ?? 0) + sign
    for (let step = -reach; step <= reach; step++) {
      if (step === 0) continue
      const distance = Math.abs(step)
      const other = (partition + step + partitions) % partitions
      const atNode = other * nodes + node
      const atZone = other * zones + itsZone
      this.#nodeCost[atNode] = (this.#nodeCost[atNode] ?? 0) + sign * (nodeCosts[distance] ?? 0)
      this.#zoneCost[atZone] = (this.#zoneCost[atZone] ?? 0) + sign * (zoneCosts[distance] ?? 0)
    }
  }
}
