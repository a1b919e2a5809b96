import { type Draw, type Draws, type FaultKind, integer, oneOf, type Prng, sometimes } from '@atoll/sim'
import type { ChangeKind, Changes } from './change-plan.ts'
import type { Theme } from './themes.ts'

/** What a seed draws: the house, the weather, the people. */
export interface HouseOptions {
  /** What the run is about; it says how others of these are drawn. */
  readonly theme: Theme
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
  /** Whether `collect` runs on any node while clients are busy. */
  readonly collecting: boolean
  /** Whether clients make buckets of their own and delete them. */
  readonly buckets: boolean
  /** Bytes that a record of a set may have; writes stay below, and what their siblings come to does not. 0 for the usual. */
  readonly recordBytes: number
  /** Bytes of values that lie with the head of their record; more lie apart. 0 for the usual: then none here do. */
  readonly inlineBytes: number
  /** Whether some sets and registers have a place. */
  readonly places: boolean
  /** How many replicas sets have at first; see `replicasOfSets`. */
  readonly setReplicas: number
  /** Whether clients put one object several times at one node before the first put is answered. */
  readonly bursts: boolean
  /** Whether a disk loses what is written after a write that failed, as LevelDB does. */
  readonly torn: boolean
  /** Whether a disk reads what it is to write where that lies, when its turn comes, as a value log does. */
  readonly lends: boolean
  /** How likely each kind of fault is against the others; in some runs there are none. */
  readonly faults: Faults
  /** How likely each kind of change of the cluster is against the others; in some runs nothing changes. */
  readonly changes: Changes
}

export type Faults = Partial<Readonly<Record<FaultKind, number>>>

/**
 * In how many of 1000 runs each kind of fault may happen: left out of the others, so that the rest gets room (swarm
 * testing).
 */
const FAULT_ODDS: Readonly<Record<FaultKind, number>> = {
  partition: 500,
  weather: 500,
  crash: 500,
  replace: 500,
  rot: 500,
  'slow-disk': 500,
  'failing-disk': 500,
  'full-disk': 500,
  skew: 500,
  drift: 500,
  reset: 300,
  freeze: 250,
  suspend: 250,
  lapse: 200,
  'far-skew': 200,
  'full-disks': 200,
  restore: 250,
  'throwing-ports': 200,
  'scarce-disks': 150,
}

const CHANGE_ODDS: Readonly<Record<ChangeKind, number>> = {
  join: 500,
  leave: 500,
  replace: 500,
  down: 500,
  type: 500,
  desert: 200,
  zone: 150,
  resize: 150,
  force: 100,
  impostor: 100,
  raise: 400,
  'restore-all': 100,
  twin: 100,
  upgrade: 150,
  bounce: 200,
  // In worlds of its own; see `themes.ts`.
  'put-back': 0,
}

/** Each kind is drawn by itself, so that a new one leaves the others of a known seed as they were. */
function someOf<Kind extends string>(
  odds: Readonly<Partial<Record<Kind, number>>>,
  most: number,
): Draw<Partial<Record<Kind, number>>> {
  return (prng: Prng) => {
    const drawn: Partial<Record<Kind, number>> = {}
    for (const kind in odds) {
      const own = prng.fork(kind)
      if (own.chance(odds[kind] ?? 0)) drawn[kind] = own.between(1, most)
    }
    return drawn
  }
}

const DAMAGING: readonly FaultKind[] = ['replace', 'rot', 'restore']

/** Where a disk may be damaged, one replica of anything is too few. */
export function replicasOfSets({ setReplicas, faults, changes }: HouseOptions): number {
  if (setReplicas > 1 || changes.raise !== undefined) return setReplicas
  const isAtRisk = DAMAGING.some((kind) => faults[kind] !== undefined)
  return isAtRisk || (changes['restore-all'] ?? changes.twin ?? changes['put-back']) !== undefined
    ? 3
    : setReplicas
}

/** Where sets begin with one replica to get more, no disk is damaged. */
export function faultsOf(options: HouseOptions): Faults {
  if (replicasOfSets(options) > 1) return options.faults
  const rest = Object.entries(options.faults).filter(([kind]) => !DAMAGING.some((one) => one === kind))
  return Object.fromEntries(rest)
}

const always = () => true

/** In how many of 1000 runs that have none yet; one that comes later leaves the seeds of those before as they were. */
const THEMES_IN_TURN: readonly (readonly [permille: number, draw: Draw<Theme>])[] = [
  [200, oneOf<Theme>('copy', 'raise', 'lease', 'stranger', 'few', 'residue')],
  [80, oneOf<Theme>('clock', 'older')],
  [60, () => 'disks'],
  [40, () => 'stand-in'],
]

export const DRAWS: Draws<HouseOptions> = {
  theme: (prng) => THEMES_IN_TURN.find(([permille]) => prng.chance(permille))?.[1](prng) ?? 'none',
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
  collecting: sometimes(300, always, false),
  buckets: sometimes(300, always, false),
  recordBytes: sometimes(150, integer(6000, 9000), 0),
  inlineBytes: sometimes(400, integer(1, 200), 0),
  places: sometimes(400, always, false),
  setReplicas: oneOf(3, 1),
  bursts: sometimes(200, always, false),
  torn: oneOf(true, false),
  lends: sometimes(250, always, false),
  faults: sometimes(850, someOf(FAULT_ODDS, 5), {}),
  changes: sometimes(700, someOf(CHANGE_ODDS, 3), {}),
}

/** Everything that may be asked for by name, on top of what a seed draws. */
export const KINDS: readonly string[] = [...Object.keys(FAULT_ODDS), ...Object.keys(CHANGE_ODDS)]

/** How likely a kind that is asked for is against the others. */
const ASKED_WEIGHT = 3

/** What seeds draw when some kinds happen in every run. */
export function drawsWith(kinds: readonly string[]): Draws<HouseOptions> {
  const asked = (odds: object) =>
    Object.fromEntries(kinds.filter((kind) => Object.hasOwn(odds, kind)).map((kind) => [kind, ASKED_WEIGHT]))
  return {
    ...DRAWS,
    theme: () => 'none',
    faults: (prng) => ({ ...DRAWS.faults(prng), ...asked(FAULT_ODDS) }),
    changes: (prng) => ({ ...DRAWS.changes(prng), ...asked(CHANGE_ODDS) }),
  }
}
