import {
  type ClusterDocument,
  catchingUp,
  handed,
  isReady,
  type Move,
  refilled,
  votersOf,
} from '../src/index.ts'

/** A record by the nodes that have a copy of it. */
export type Copies = Set<string>

/** Numbers that a choice is made by. */
type Pick = (count: number) => number

/**
 * What lies where of one partition, while a document changes. A write counts once a majority of the list has it, and a
 * holder that has copied to a node which is coming hands on to it what it takes afterwards.
 */
export class PartitionModel {
  readonly partition: number
  /** What nobody has any more is left out. */
  records: readonly Copies[] = []
  /** By the node that is coming: the holders that hand on to it. */
  readonly #mirrors = new Map<string, Set<string>>()

  constructor(partition: number) {
    this.partition = partition
  }

  /** Writes a record to a majority of the list, of nodes that are not marked down. */
  write(document: ClusterDocument, pick: Pick): void {
    const holders = this.#holders(document)
    const able = holders.filter((node) => document.members.get(node)?.state !== 'down')
    const needed = majorityOf(holders)
    if (able.length < needed) return
    const copies: Copies = new Set()
    while (copies.size < needed) copies.add(able.splice(pick(able.length), 1)[0] ?? '')
    for (const [to, sources] of this.#mirrors)
      if ([...sources].some((source) => copies.has(source))) copies.add(to)
    this.records = [...this.records, copies]
  }

  /** Some node that is up does its part of some move that is ready, or of what it owes to a node that catches up. */
  work(document: ClusterDocument, pick: Pick): ClusterDocument {
    const isUp = (node: string) => document.members.get(node)?.state !== 'down'
    const all = document.moves.flatMap((move) => {
      const sources = move.kind === 'add' ? move.waiting : [move.from]
      return isReady(document, move) ? sources.filter(isUp).map((source) => ({ source, move })) : []
    })
    const own = all.filter(({ move }) => move.partition === this.partition)
    const parts = own.length > 0 ? own : all
    const owed = document.refills.flatMap(({ id, waiting }) =>
      waiting.filter(isUp).map((node) => ({ id, node })),
    )
    const at = pick(Math.max(1, parts.length + owed.length))
    const part = parts[at]
    if (part !== undefined) return this.#hand(document, part)
    const debt = owed[at - parts.length]
    if (debt === undefined) return document
    for (const to of catchingUp(document).keys())
      if (this.#holders(document).includes(to)) this.#copy(debt.node, to)
    return refilled(document, debt.node, [debt.id])
  }

  /** The data of the node is an older copy, with none of these records. */
  forget(node: string): void {
    for (const copies of this.records) copies.delete(node)
    for (const sources of this.#mirrors.values()) sources.delete(node)
    this.records = this.records.filter(({ size }) => size > 0)
  }

  /** What follows from another document: whoever neither holds the partition nor is coming has nothing of it. */
  follow(document: ClusterDocument): void {
    const holders = this.#holders(document)
    const pending = document.moves.filter(({ partition }) => partition === this.partition)
    const coming = pending.filter(({ kind }) => kind === 'add').map(({ to }) => to)
    for (const to of this.#mirrors.keys()) if (!coming.includes(to)) this.#mirrors.delete(to)
    for (const copies of this.records)
      for (const node of copies) if (![...holders, ...coming].includes(node)) copies.delete(node)
    for (const sources of this.#mirrors.values())
      for (const node of sources) if (!holders.includes(node)) sources.delete(node)
  }

  /** Records that a majority of the list says it does not have, though they were confirmed. */
  denied(document: ClusterDocument): readonly string[] {
    const holders = this.#holders(document)
    const behind = catchingUp(document)
    return this.records.flatMap((copies) => {
      const without = holders.filter((node) => !copies.has(node) && !behind.has(node))
      return without.length < majorityOf(holders)
        ? []
        : [`on ${[...copies]}, not on ${without} of ${holders}`]
    })
  }

  #hand(document: ClusterDocument, { source, move }: { source: string; move: Move }): ClusterDocument {
    const after = handed(document, source, [move])
    if (move.partition !== this.partition) return after
    this.#copy(source, move.to)
    if (move.kind === 'add') {
      const sources = this.#mirrors.get(move.to) ?? new Set()
      this.#mirrors.set(move.to, sources.add(source))
    }
    return after
  }

  #copy(from: string, to: string): void {
    for (const copies of this.records) if (copies.has(from)) copies.add(to)
  }

  #holders({ replicas }: ClusterDocument): readonly string[] {
    return replicas[this.partition] ?? []
  }
}

function majorityOf(holders: readonly string[]): number {
  return Math.floor(holders.length / 2) + 1
}

/** A node that may have got an older copy of its data: only one at a time, since what two have lost is lost. */
export function mayBeRestored(document: ClusterDocument, node: string): boolean {
  return votersOf(document).includes(node) && catchingUp(document).size === 0
}
