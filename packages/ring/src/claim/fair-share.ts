import type { Board } from './board.ts'
import { countOwned, NOBODY, type Problem } from './problem.ts'

/**
 * Balance by giving to nodes under their share only what nobody has and what over-full nodes have too much. Each step
 * takes what costs the least spacing and the fewest moves at that moment; what it leaves is for the search.
 */
export function fairShare(board: Board, shares: Int32Array): Int16Array {
  const missing = (node: number): number => (shares[node] ?? 0) - board.countOf(node)
  for (let partition = 0; partition < board.problem.partitions; partition++) {
    if (board.ownerOf(partition) === NOBODY) board.place(partition, cheapestTaker(board, partition, missing))
  }
  for (;;) {
    const taker = neediest(board, missing)
    if (missing(taker) <= 0) return board.owners
    board.place(cheapestGift(board, taker, missing), taker)
  }
}

/** Floor or ceiling for each node: ceilings go first to those that own most, as long as their zone has room. */
export function chooseShares(problem: Problem, zoneMost: number): Int32Array {
  const counts = countOwned(problem, problem.home)
  const shares = new Int32Array(problem.nodes).fill(problem.floor)
  const zoneTotals = problem.zoneNodes.map((nodes) => nodes * problem.floor)
  const order = [...shares.keys()].sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b)
  let extras = problem.extras
  for (const most of [zoneMost, problem.partitions]) {
    for (const node of order) {
      const zone = problem.zone[node] ?? 0
      const total = zoneTotals[zone] ?? 0
      if (extras === 0 || total >= most || shares[node] !== problem.floor) continue
      shares[node] = problem.floor + 1
      zoneTotals[zone] = total + 1
      extras--
    }
  }
  return shares
}

function neediest(board: Board, missing: (node: number) => number): number {
  let best = 0
  for (let node = 1; node < board.problem.nodes; node++) if (missing(node) > missing(best)) best = node
  return best
}

function cheapestTaker(board: Board, partition: number, missing: (node: number) => number): number {
  let best = NOBODY
  let bestCost = Number.POSITIVE_INFINITY
  for (let node = 0; node < board.problem.nodes; node++) {
    if (missing(node) <= 0) continue
    const cost = board.costAt(partition, node)
    if (cost > bestCost || (cost === bestCost && missing(node) <= missing(best))) continue
    best = node
    bestCost = cost
  }
  return best
}

function cheapestGift(board: Board, taker: number, missing: (node: number) => number): number {
  let best = NOBODY
  let bestCost = Number.POSITIVE_INFINITY
  for (let partition = 0; partition < board.problem.partitions; partition++) {
    const giver = board.ownerOf(partition)
    if (missing(giver) >= 0) continue
    const cost = board.costAt(partition, taker) - board.costAt(partition, giver)
    if (cost >= bestCost) continue
    best = partition
    bestCost = cost
  }
  return best
}
