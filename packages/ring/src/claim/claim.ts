import type { NodeName } from '../ring.ts'
import { numberZones } from '../zone-index.ts'
import { CLAIM_DEFAULTS, type ClaimOptions, validateClaimOptions } from './options.ts'
import { countMoves, defineProblem, leastMoves, NOBODY } from './problem.ts'
import { solve } from './solve.ts'
import { type ClaimViolation, findViolations, spacingOf } from './violations.ts'

export interface ClaimResult {
  /** Who shall own each partition. */
  readonly owners: readonly NodeName[]
  /** Partitions that change hands; those that nobody owned do not count. */
  readonly moved: number
  /** What over-full nodes and leavers have to give up for balance alone: no claim can move less. */
  readonly leastMoves: number
  /** Any so many consecutive partitions are on distinct nodes: n + 1 at most. */
  readonly target: number
  /** Any so many consecutive partitions are in distinct zones: n + 1 at most. */
  readonly zoneTarget: number
  readonly violations: readonly ClaimViolation[]
}

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
