import { Board } from './board.ts'
import { Dice } from './dice.ts'
import { chooseShares, fairShare } from './fair-share.ts'
import { ANYWHERE, freeMoves, freshGoals, goalFromCurrent, hasZones } from './goals.ts'
import { nodePattern, zonePattern } from './pattern.ts'
import { defineProblem, evenZoneMost, leastMoves, NOBODY, type Problem } from './problem.ts'
import { relabel } from './relabel.ts'
import { search } from './search.ts'
import { MOVE_COST, type SpacingGoal, spacingFor } from './spacing.ts'

interface Attempt {
  readonly goal: SpacingGoal
  readonly owners: Int16Array
  /** Whether all that must be is. */
  readonly clean: boolean
  /** What the search makes small. */
  readonly cost: number
}

/** Balanced owners, spaced as the goals say. */
export function solve(problem: Problem, n: number): Int16Array {
  if (problem.nodes < n) return solveFew(problem, n)
  if (problem.home.every((home) => home === NOBODY)) return solveFresh(problem, freshGoals(problem, n))
  return solveFromCurrent(problem, goalFromCurrent(problem, n))
}

/**
 * With fewer nodes than n every node holds every key, whoever owns what. So the ring is laid out as if there were n
 * nodes, and the partitions of those that are not there yet are shared out: when they come, they take just these.
 */
function solveFew(problem: Problem, n: number): Int16Array {
  const missing = Uint16Array.from({ length: n - problem.nodes }, (_, node) => problem.zones + node)
  const full = defineProblem(Uint16Array.of(...problem.zone, ...missing), problem.home)
  const layout = solve(full, n).map((owner) => (owner < problem.nodes ? owner : NOBODY))
  const shares = chooseShares(problem, problem.partitions)
  const board = new Board(problem, spacingFor(ANYWHERE), layout)
  for (const [partition, home] of problem.home.entries()) {
    if (home === NOBODY || board.ownerOf(partition) !== NOBODY) continue
    if (board.countOf(home) < (shares[home] ?? 0)) board.place(partition, home)
  }
  fairShare(board, shares)
  if (board.moves === leastMoves(problem)) return board.owners
  return fairShare(new Board(problem, spacingFor(ANYWHERE), problem.home), shares)
}

function solveFresh(problem: Problem, goals: readonly SpacingGoal[]): Int16Array {
  let attempt: Attempt | undefined
  for (const goal of goals) {
    attempt = solveFromPatterns(problem, goal)
    if (attempt.clean) break
  }
  return attempt === undefined ? problem.home : mix(problem, attempt)
}

/**
 * Exchanges partitions wherever that costs no spacing. In a regular pattern every node has the same few neighbours: they
 * alone would take its load when it is down, and they could not take its partitions when it leaves.
 */
function mix(problem: Problem, { owners, goal }: Attempt): Int16Array {
  const board = new Board(problem, spacingFor(goal), owners)
  const dice = new Dice()
  for (let turn = 0; turn < 16 * problem.partitions; turn++) {
    const p = dice.below(problem.partitions)
    const q = dice.below(problem.partitions)
    const [a, b] = [board.ownerOf(p), board.ownerOf(q)]
    if (a === b || board.swapCost(p, q) > 0) continue
    board.place(p, b)
    board.place(q, a)
  }
  return board.owners
}

/** From the least moves to the spacing, or from a pattern back towards the least moves, whichever turns out better. */
function solveFromCurrent(problem: Problem, goal: SpacingGoal): Int16Array {
  const zoneMost = Math.max(evenZoneMost(problem), Math.floor(problem.partitions / goal.zone))
  const shares = chooseShares(problem, zoneMost)
  const shared = fairShare(new Board(problem, spacingFor(goal), problem.home), shares)
  const attempt = improve(problem, goal, shared)
  return attempt.cost === 0 ? attempt.owners : better(attempt, solveFromPatterns(problem, goal)).owners
}

/** Node spacing that can be is reached in any case; that of zones too, where there are at least as many as replicas. */
function solveFromPatterns(problem: Problem, goal: SpacingGoal): Attempt {
  const most = evenZoneMost(problem)
  const patterns = hasZones(problem)
    ? [nodePattern(problem, most), zonePattern(problem, most)]
    : [nodePattern(problem, most)]
  return patterns.map((pattern) => improve(problem, goal, relabel(problem, pattern))).reduce(better)
}

function better(a: Attempt, b: Attempt): Attempt {
  if (a.clean !== b.clean) return a.clean ? a : b
  return b.cost < a.cost ? b : a
}

function improve(problem: Problem, goal: SpacingGoal, owners: Int16Array): Attempt {
  const spacing = spacingFor(goal)
  const free = freeMoves(problem, goal, leastMoves(problem))
  const found = search(new Board(problem, spacing, owners), free)
  const board = new Board(problem, spacing, found)
  const excess = Math.max(0, board.moves - free)
  return { goal, owners: found, clean: !board.violates(), cost: board.cost + excess * MOVE_COST }
}
