import type { Board } from './board.ts'
import { Dice } from './dice.ts'
import { NOBODY } from './problem.ts'
import { MOVE_COST, MUST_COST } from './spacing.ts'

/** In larger rings a step looks at about so many partners for a swap, evenly spread. */
const SAMPLE = 256

/** After half its patience, in one of so many steps, the search sees to something less urgent. */
const DIVERSION = 4

/** A search ends after so many times the steps that it would wait for one better assignment. */
const MAX_PATIENCES = 4

/** Tabu tenure in steps, and how much of it is left to chance. */
const TENURE = 5
const TENURE_SPREAD = 10

interface Pick {
  readonly partition: number
  /** The node that shall have it, or `NOBODY` for any. */
  readonly only: number
  /** More than a wish. Wishes get a quarter of the patience. */
  readonly urgent: boolean
}

/**
 * Minimum conflicts with a tabu list (Minton 1992, Glover 1989): take a partition that violates the spacing, or failing
 * that one that need not have moved, or failing that one with a wish, and make the best change of its owner that does
 * not take back a recent one. A change swaps two owners, or gives a partition from a node with one more to a node with
 * one fewer, so that balance stays. Returns the best assignment seen; `board` is left wherever the search ended.
 */
export function search(board: Board, freeMoves: number): Int16Array {
  return new Search(board, freeMoves).run()
}

/** Steps without a better assignment. They cost time in proportion to the ring, and pay off most in small ones. */
function patienceFor(partitions: number): number {
  return Math.min(4000, Math.max(1000, Math.floor(2 ** 18 / partitions)))
}

class Search {
  readonly #board: Board
  readonly #freeMoves: number
  readonly #dice = new Dice()
  /** Per partition and node: the first step at which the node may have the partition again. */
  readonly #tabu: Int32Array
  #step = 1
  #bestTotal: number
  /** The best change found so far in this step. */
  #partner = NOBODY
  #taker = NOBODY
  #delta = 0
  #ties = 0

  constructor(board: Board, freeMoves: number) {
    this.#board = board
    this.#freeMoves = freeMoves
    this.#tabu = new Int32Array(board.problem.partitions * board.problem.nodes)
    this.#bestTotal = this.#total()
  }

  run(): Int16Array {
    const patience = patienceFor(this.#board.problem.partitions)
    let best = this.#board.owners.slice()
    for (let last = 0; this.#step <= MAX_PATIENCES * patience; this.#step++) {
      const waited = this.#step - last
      const pick = this.#pick(waited > patience / 2)
      if (pick === undefined || waited > (pick.urgent ? patience : patience / 4)) break
      this.#change(pick)
      const total = this.#total()
      if (total >= this.#bestTotal) continue
      last = this.#step
      this.#bestTotal = total
      best = this.#board.owners.slice()
    }
    return best
  }

  #total(): number {
    return this.#board.cost + this.#moveCost(0)
  }

  #moveCost(more: number): number {
    return MOVE_COST * Math.max(0, this.#board.moves + more - this.#freeMoves)
  }

  /** The most urgent kind of fault, or if `stuck` perhaps a lesser one. Undefined if all is well. */
  #pick(stuck: boolean): Pick | undefined {
    const board = this.#board
    const violating: number[] = []
    const wishing: number[] = []
    const moved: number[] = []
    for (let partition = 0; partition < board.problem.partitions; partition++) {
      const owner = board.ownerOf(partition)
      const cost = board.costAt(partition, owner)
      if (cost >= MUST_COST) violating.push(partition)
      else if (cost > 0) wishing.push(partition)
      const home = board.homeOf(partition)
      if (home !== owner && home !== NOBODY) moved.push(partition)
    }
    const excess = this.#moveCost(0) > 0 ? moved : []
    const kinds = [violating, excess, wishing].filter((kind) => kind.length > 0)
    let kind = kinds.shift()
    while (stuck && kinds.length > 0 && this.#dice.below(DIVERSION) === 0) kind = kinds.shift()
    if (kind === undefined) return undefined
    const partition = this.#draw(kind)
    return { partition, only: kind === excess ? board.homeOf(partition) : NOBODY, urgent: kind !== wishing }
  }

  #draw(from: readonly number[]): number {
    return from[this.#dice.below(from.length)] ?? 0
  }

  #change({ partition, only }: Pick): void {
    const board = this.#board
    const owner = board.ownerOf(partition)
    this.#ties = 0
    this.#weighSwaps(partition, only)
    if (board.countOf(owner) > board.problem.floor) this.#weighGifts(partition, only)
    if (this.#ties === 0) return
    const [partner, taker] = [this.#partner, this.#taker]
    this.#bar(partition, owner)
    board.place(partition, taker)
    if (partner === NOBODY) return
    this.#bar(partner, taker)
    board.place(partner, owner)
  }

  #weighSwaps(partition: number, only: number): void {
    const board = this.#board
    const owner = board.ownerOf(partition)
    const leaving = board.movesAt(partition, owner)
    const { partitions } = board.problem
    const stride = only !== NOBODY ? 1 : Math.ceil(partitions / SAMPLE)
    const start = stride === 1 ? 0 : this.#dice.below(stride)
    for (let partner = start; partner < partitions; partner += stride) {
      const taker = board.ownerOf(partner)
      if (taker === owner || (only !== NOBODY && taker !== only)) continue
      const more =
        board.movesAt(partition, taker) -
        leaving +
        board.movesAt(partner, owner) -
        board.movesAt(partner, taker)
      const delta = board.swapCost(partition, partner) + this.#moveCost(more) - this.#moveCost(0)
      if (this.#isWorse(delta)) continue
      if (this.#isBarred(partition, taker, delta) || this.#isBarred(partner, owner, delta)) continue
      this.#keep(partner, taker, delta)
    }
  }

  #weighGifts(partition: number, only: number): void {
    const board = this.#board
    const owner = board.ownerOf(partition)
    const before = board.costAt(partition, owner)
    for (let taker = 0; taker < board.problem.nodes; taker++) {
      if (board.countOf(taker) > board.problem.floor || (only !== NOBODY && taker !== only)) continue
      const more = board.movesAt(partition, taker) - board.movesAt(partition, owner)
      const delta = board.costAt(partition, taker) - before + this.#moveCost(more) - this.#moveCost(0)
      if (this.#isWorse(delta) || this.#isBarred(partition, taker, delta)) continue
      this.#keep(NOBODY, taker, delta)
    }
  }

  #isWorse(delta: number): boolean {
    return this.#ties > 0 && delta > this.#delta
  }

  /** What was taken back a moment ago stays so, unless that would be the best assignment so far. */
  #isBarred(partition: number, node: number, delta: number): boolean {
    const until = this.#tabu[partition * this.#board.problem.nodes + node] ?? 0
    return until > this.#step && this.#total() + delta >= this.#bestTotal
  }

  /** Among equals, each is as likely to be kept. */
  #keep(partner: number, taker: number, delta: number): void {
    this.#ties = this.#ties > 0 && delta === this.#delta ? this.#ties + 1 : 1
    if (this.#ties > 1 && this.#dice.below(this.#ties) > 0) return
    this.#partner = partner
    this.#taker = taker
    this.#delta = delta
  }

  #bar(partition: number, node: number): void {
    this.#tabu[partition * this.#board.problem.nodes + node] =
      this.#step + TENURE + this.#dice.below(TENURE_SPREAD)
  }
}
