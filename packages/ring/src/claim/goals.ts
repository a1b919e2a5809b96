import { evenZoneMost, type Problem } from './problem.ts'
import type { SpacingGoal } from './spacing.ts'

/** No spacing at all. */
export const ANYWHERE: SpacingGoal = { node: 1, nodeWish: 1, zone: 1, zoneWish: 1 }

/**
 * The widest spacing that nodes or zones can have of which the largest has `most` partitions: `arrange` reaches it, and
 * `most` partitions cannot be further apart.
 */
function widestSpacing(problem: Problem, most: number): number {
  return Math.floor(problem.partitions / most)
}

/**
 * What a ring without a past must keep, the best first: nodes n + 1 apart, or else n, or else as wide as can be; zones n
 * apart or as wide as can be. Zones n + 1 apart would do more harm than good: with n + 1 zones the ring could only be
 * periodic, and one node more in one zone would move most of it.
 */
export function freshGoals(problem: Problem, n: number): SpacingGoal[] {
  const goal = widestGoal(problem, n)
  return [{ ...goal, node: widestGoal(problem, n + 1).node }, goal]
}

/**
 * What a ring with a past must keep, whatever it moves: n apart, if that can be. A wider or a lesser spacing is a wish,
 * for which nothing extra moves. Zones count as able to be n apart also if only the ends of the ring do not fit, since
 * that is the lot of every ring of three zones: no power of two is a multiple of three.
 */
export function goalFromCurrent(problem: Problem, n: number): SpacingGoal {
  const wish = widestGoal(problem, n)
  const zonesFit = problem.zones >= n && evenZoneMost(problem) <= Math.ceil(problem.partitions / n)
  return { ...wish, node: wish.node < n ? 1 : n, zone: hasZones(problem) && zonesFit ? n : 1 }
}

/** How many moves are free. Where zones cannot be kept apart, a few more than the least bring them closer to it. */
export function freeMoves(problem: Problem, goal: SpacingGoal, least: number): number {
  const zonesSuffer = hasZones(problem) && goal.zone < goal.zoneWish
  return zonesSuffer ? Math.floor(least * 1.2) : least
}

export function hasZones(problem: Problem): boolean {
  return problem.zones > 1 && problem.zones < problem.nodes
}

function widestGoal(problem: Problem, n: number): SpacingGoal {
  const node = widestSpacing(problem, Math.ceil(problem.partitions / problem.nodes))
  const zone = widestSpacing(problem, evenZoneMost(problem))
  return {
    node: Math.min(node, n),
    nodeWish: Math.min(n + 1, problem.nodes),
    zone: Math.min(zone, n),
    zoneWish: Math.min(n, problem.zones),
  }
}
