import { type Draw, type Draws, type FaultKind, integer, oneOf, type Prng, sometimes } from '@atoll/sim'
import { CHANGE_KINDS, type Changes } from './change-plan.ts'

/** What a seed draws: the house, the weather, the people. */
export interface HouseOptions {
  readonly nodes: number
  readonly partitions: number
  /** Failure zones that the nodes are dealt over; 0 for none. */
  readonly zones: number
  /** Whether fallbacks stand in for primaries that are down. */
  readonly sloppy: boolean
  /** Delay of a frame, in ms, at most. */
  readonly maxDelayMs: number
  /** How much later than asked a timer may fire, in ms. */
  readonly timerSlackMs: number
  /** Longest that a call of a coordinator may take, in ms. */
  readonly timeoutMs: number
  readonly clients: number
  /** Of each client. */
  readonly operations: number
  /** Names of each kind: objects, sets, registers. */
  readonly keys: number
  /** For how long clients are busy and faults happen, in ms. */
  readonly durationMs: number
  /** Nodes without power at one time. */
  readonly maxDown: number
  /** Whether all nodes lose their power at once, after everything else was put right. */
  readonly blackout: boolean
  /** Whether everything is deleted and collected in the end. */
  readonly clearance: boolean
  /** How likely each kind of fault is against the others; in some runs there are none. */
  readonly faults: Faults
  /** How likely each kind of change of the cluster is against the others; in some runs nothing changes. */
  readonly changes: Changes
}

export type Faults = Partial<Readonly<Record<FaultKind, number>>>

const KINDS: readonly FaultKind[] = [
  'partition',
  'weather',
  'crash',
  'replace',
  'rot',
  'slow-disk',
  'failing-disk',
  'full-disk',
  'skew',
  'drift',
]

/** Every kind is left out of half of the runs, so that the others get room (swarm testing). */
const someFaults: Draw<Faults> = (prng: Prng) => {
  const chosen = KINDS.filter(() => prng.chance(500))
  return Object.fromEntries(chosen.map((kind) => [kind, prng.between(1, 5)]))
}

const someChanges: Draw<Changes> = (prng: Prng) => {
  const chosen = CHANGE_KINDS.filter(() => prng.chance(500))
  return Object.fromEntries(chosen.map((kind) => [kind, prng.between(1, 3)]))
}

export const DRAWS: Draws<HouseOptions> = {
  nodes: integer(3, 7),
  partitions: oneOf(8, 8, 16, 16, 32, 64),
  zones: sometimes(250, integer(2, 3), 0),
  sloppy: oneOf(true, false),
  maxDelayMs: oneOf(0, 1, 1, 5, 20),
  timerSlackMs: oneOf(0, 1, 20),
  timeoutMs: oneOf(1000, 3000, 10_000),
  clients: integer(1, 4),
  operations: integer(5, 20),
  keys: integer(1, 3),
  durationMs: oneOf(500, 2000, 6000),
  maxDown: oneOf(1, 1, 2),
  blackout: oneOf(true, false, false),
  clearance: oneOf(true, false, false, false),
  faults: sometimes(850, someFaults, {}),
  changes: sometimes(700, someChanges, {}),
}
