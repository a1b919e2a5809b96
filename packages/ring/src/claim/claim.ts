import type { NodeName } from '../ring.ts'
import { numberZones } from '../zone-index.ts'
import { CLAIM_DEFAULTS, type ClaimOptions, validateClaimOptions } from './options.ts'
import { countMoves, defineProblem, leastMoves, NOBODY } from './problem.ts'
import { solve } from './solve.ts'
import { type ClaimViolation, findViolations, spacingOf } from './violations.ts'

export interface ClaimResult {
  /** Who shall own each partition. */
  readonly owners: readonly NodeName[]
  /** Partitions that change hands; 0 without `current`. */
  readonly moved: number
  /** What leavers and over-full nodes must give up for balance alone. No balanced claim can move less. */
  readonly leastMoves: number
  /** Any so many consecutive partitions, round the end of the ring too, are on distinct nodes; n + 1 at most. */
  readonly target: number
  /** The same for zones. */
  readonly zoneTarget: number
  /** Empty whenever that is possible. See `claim` for what to make of the others. */
  readonly violations: readonly ClaimViolation[]
}

/**
 * Decides who shall own each partition.
 *
 * - **Balance**: every node owns floor(Q / S) or ceil(Q / S) of Q partitions on S nodes, always.
 * - **Nodes**: any n consecutive partitions are on n distinct nodes whenever a balanced assignment has that, which is
 *   when S >= n and floor(Q / ceil(Q / S)) >= n. A new ring keeps n + 1 apart where it can; an existing one works
 *   towards that with the partitions that move anyway.
 * - **Zones**: likewise in n distinct zones, if there are n or more, which can be when the largest zone needs to own no
 *   more than floor(Q / n). Three zones can never do that for n = 3, as no power of two is a multiple of three: then all
 *   but a few windows at one place do.
 * - **Movement**: as little as the search finds, and nearly always what balance and spacing force. For n = 3 that is
 *   `leastMoves` itself all the way from 1 to 12 nodes. Balance and spacing go before movement.
 *
 * Where a window cannot be kept it is among the `violations`. That costs no safety, since a preference list skips what
 * it has already (`Placement`), but some evenness: of what a vnode holds, and of who stands in for whom.
 *
 * The same on every node: a function of its input, in which the order of the members does not matter. Throws `TypeError`
 * or `RangeError` for options that are not as described.
 */
export function claim(options: ClaimOptions): ClaimResult {
  validateClaimOptions(options)
  const { partitions, current, n = CLAIM_DEFAULTS.n } = options
  const names = options.members.map((member) => member.node).sort()
  const zones = new Map(
    options.members.flatMap(({ node, zone }) => (zone === undefined ? [] : [[node, zone] as const])),
  )
  const numbers = new Map(names.map((name, number) => [name, number]))
  const home = Int16Array.from({ length: partitions }, (_, p) => numbers.get(current?.[p] ?? '') ?? NOBODY)
  const problem = defineProblem(numberZones(names, zones), home)
  const owners = solve(problem, n)
  return {
    owners: Array.from(owners, (owner) => names[owner] ?? ''),
    moved: current === undefined ? 0 : countMoves(problem, owners),
    leastMoves: current === undefined ? 0 : leastMoves(problem),
    ...spacingOf(problem, owners, n + 1),
    violations: findViolations(problem, owners, n),
  }
}
