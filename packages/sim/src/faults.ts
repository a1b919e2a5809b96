import { checkInteger, checkKnown, wrongRange } from '@atoll/core'
import type { Prng } from './prng.ts'

/** One thing that goes wrong. Nodes are named; every number is decided, so that a plan can be read, kept and cut down. */
export type Fault =
  /** Nothing passes from one group to the other, nor back unless `oneWay`. */
  | {
      readonly kind: 'partition'
      readonly groupA: readonly string[]
      readonly groupB: readonly string[]
      readonly oneWay: boolean
    }
  /** Frames are lost, repeated and slow, on every link. */
  | {
      readonly kind: 'weather'
      readonly lossPerMillion: number
      readonly duplicatePerMillion: number
      readonly maxDelayMs: number
    }
  /** The node loses its power; when the fault ends it starts again. */
  | { readonly kind: 'crash'; readonly node: string }
  /** The node loses its power and its disk; it starts again on an empty one. */
  | { readonly kind: 'replace'; readonly node: string }
  /** Bits flip in stored values. */
  | { readonly kind: 'rot'; readonly node: string; readonly values: number }
  | { readonly kind: 'slow-disk'; readonly node: string; readonly factor: number }
  | { readonly kind: 'failing-disk'; readonly node: string; readonly writes: number }
  | { readonly kind: 'full-disk'; readonly node: string }
  /** All disks are full at once; when the fault ends there is room again. */
  | { readonly kind: 'full-disks'; readonly nodes: readonly string[] }
  /** The disks of these nodes have no more room than what is kept for writes that make room. */
  | { readonly kind: 'scarce-disks'; readonly nodes: readonly string[]; readonly spareBytes: number }
  /** Connections of these nodes break, and no process is harmed. */
  | { readonly kind: 'reset'; readonly nodes: readonly string[] }
  /** The process of the node stops, with its connections open, and goes on when the fault ends. */
  | { readonly kind: 'freeze'; readonly node: string }
  /**
   * The machine is suspended: it stops, its monotonic clock stands, and hours go by on the wall clocks of all. It goes
   * on when the fault ends.
   */
  | { readonly kind: 'suspend'; readonly node: string; readonly lapseMs: number }
  /** Hours go by on the wall clocks of all at once, as while every machine is suspended. */
  | { readonly kind: 'lapse'; readonly lapseMs: number }
  /**
   * The node is closed, in order or by a power cut, and its disk is copied; when the fault ends that copy takes the place of
   * what the disk has by then.
   */
  | { readonly kind: 'restore'; readonly node: string; readonly orderly: boolean }
  /** The wall clock is wrong. */
  | { readonly kind: 'skew'; readonly node: string; readonly offsetMs: number }
  /** The wall clock is wrong by hours or days. */
  | { readonly kind: 'far-skew'; readonly node: string; readonly offsetMs: number }
  /** The log and the metrics that the node was given throw now and then. */
  | { readonly kind: 'throwing-ports'; readonly node: string; readonly permille: number }
  /** The clock runs fast or slow. */
  | { readonly kind: 'drift'; readonly node: string; readonly ppm: number }

export type FaultKind = Fault['kind']

export interface PlannedFault {
  readonly fromMs: number
  readonly untilMs: number
  readonly fault: Fault
}

export interface FaultPlanOptions {
  readonly nodes: readonly string[]
  /** How long faults begin and end for, in ms. */
  readonly durationMs: number
  /** Time between the beginnings of two faults, in ms, at most; drawn from 1. Default a twentieth of the duration. */
  readonly maxGapMs?: number
  /** How long one fault lasts, in ms, at most; drawn from 1. Default a quarter of the duration. */
  readonly maxHoldMs?: number
  /**
   * How long a machine is frozen or suspended, in ms, at most; drawn from 1, and may go beyond the duration. Default 12 000.
   */
  readonly maxFreezeMs?: number
  /** How likely each kind is, against the others. A kind that is not named does not happen. */
  readonly weights: Partial<Readonly<Record<FaultKind, number>>>
  readonly budget: FaultBudget
}

/** The atlas of damage: a correct cluster survives what stays within it. */
export interface FaultBudget {
  /** Nodes without power, frozen or suspended at one time. */
  readonly maxDown: number
  /**
   * Nodes whose stored data is ever damaged (rotten, replaced, or an older copy) in the plan. Less than n, or data is
   * truly gone.
   */
  readonly maxDamaged: number
}

const DAMAGING: ReadonlySet<FaultKind> = new Set(['replace', 'rot', 'restore'])
/** The node does not answer meanwhile. */
const SILENCING: ReadonlySet<FaultKind> = new Set(['crash', 'replace', 'freeze', 'suspend'])
/** Longer than any patience that others have. */
const FREEZING: ReadonlySet<FaultKind> = new Set(['freeze', 'suspend'])
const OF_CLOCKS: ReadonlySet<FaultKind> = new Set(['skew', 'far-skew'])

/** Which part of a node, or of the world, a fault holds: nothing else happens to that meanwhile. */
function placeOf(fault: Fault): string {
  if (!('node' in fault)) return fault.kind
  if (OF_CLOCKS.has(fault.kind)) return `wall clock of ${fault.node}`
  if (fault.kind === 'drift' || fault.kind === 'throwing-ports') return `${fault.kind} of ${fault.node}`
  return `machine ${fault.node}`
}

/**
 * Draws what goes wrong and when: in the order of beginning, each fault ended within the duration (unless a machine is
 * frozen for longer), and never more at one time than the budget allows.
 *
 * @throws TypeError, RangeError for invalid options.
 */
export function planFaults(prng: Prng, options: FaultPlanOptions): PlannedFault[] {
  const { durationMs } = validatePlanOptions(options)
  const { maxGapMs = Math.ceil(durationMs / 20), maxHoldMs = Math.ceil(durationMs / 4) } = options
  const { maxFreezeMs = 12_000 } = options
  const plan: PlannedFault[] = []
  let fromMs = prng.between(1, maxGapMs)
  while (fromMs < durationMs) {
    const holdMs = prng.between(1, maxHoldMs)
    const fault = drawFault(prng, options)
    const untilMs = FREEZING.has(fault.kind)
      ? fromMs + prng.between(1, maxFreezeMs)
      : Math.min(fromMs + holdMs, durationMs)
    const planned = { fromMs, untilMs, fault }
    if (isAllowed(planned, plan, options.budget)) plan.push(planned)
    fromMs += prng.between(1, maxGapMs)
  }
  return plan
}

function isAllowed(next: PlannedFault, plan: readonly PlannedFault[], budget: FaultBudget): boolean {
  const { fault } = next
  const going = plan.filter(({ untilMs }) => untilMs > next.fromMs)
  if (going.some((other) => placeOf(other.fault) === placeOf(fault))) return false
  if (SILENCING.has(fault.kind)) {
    const down = going.filter((other) => SILENCING.has(other.fault.kind))
    if (down.length >= budget.maxDown) return false
  }
  if (!DAMAGING.has(fault.kind)) return true
  const damaged = plan.filter((other) => DAMAGING.has(other.fault.kind)).map(nodeOf)
  return new Set([...damaged, nodeOf(next)]).size <= budget.maxDamaged
}

function nodeOf({ fault }: PlannedFault): string | undefined {
  return 'node' in fault ? fault.node : undefined
}

interface Draw {
  readonly kind: FaultKind
  readonly draw: (prng: Prng, nodes: readonly string[]) => Fault
}

/** A deletion takes some hundred bytes of each of its replicas. */
const SPARE_UNIT_BYTES = 16_384
const DAYS_MS = 3 * 24 * 3_600_000

/** How wrong things go: from what happens in every data centre to ten times that. */
const DRAWS: readonly Draw[] = [
  {
    kind: 'partition',
    draw: (prng, nodes) => {
      const groupA = prng.sample(nodes, prng.between(1, Math.max(1, nodes.length - 1)))
      const groupB = nodes.filter((node) => !groupA.includes(node))
      return { kind: 'partition', groupA, groupB, oneWay: prng.chance(200) }
    },
  },
  {
    kind: 'weather',
    draw: (prng) => ({
      kind: 'weather',
      lossPerMillion: prng.between(0, 100_000),
      duplicatePerMillion: prng.between(0, 100_000),
      maxDelayMs: prng.between(1, 500),
    }),
  },
  { kind: 'crash', draw: (prng, nodes) => ({ kind: 'crash', node: prng.pick(nodes) }) },
  { kind: 'replace', draw: (prng, nodes) => ({ kind: 'replace', node: prng.pick(nodes) }) },
  {
    kind: 'rot',
    draw: (prng, nodes) => ({ kind: 'rot', node: prng.pick(nodes), values: prng.between(1, 5) }),
  },
  {
    kind: 'slow-disk',
    draw: (prng, nodes) => ({ kind: 'slow-disk', node: prng.pick(nodes), factor: prng.between(2, 1000) }),
  },
  {
    kind: 'failing-disk',
    draw: (prng, nodes) => ({ kind: 'failing-disk', node: prng.pick(nodes), writes: prng.between(1, 10) }),
  },
  { kind: 'full-disk', draw: (prng, nodes) => ({ kind: 'full-disk', node: prng.pick(nodes) }) },
  {
    kind: 'skew',
    draw: (prng, nodes) => ({
      kind: 'skew',
      node: prng.pick(nodes),
      offsetMs: prng.between(-3_600_000, 3_600_000),
    }),
  },
  { kind: 'full-disks', draw: (_, nodes) => ({ kind: 'full-disks', nodes }) },
  {
    kind: 'reset',
    draw: (prng, nodes) => ({ kind: 'reset', nodes: prng.sample(nodes, prng.between(1, nodes.length)) }),
  },
  { kind: 'freeze', draw: (prng, nodes) => ({ kind: 'freeze', node: prng.pick(nodes) }) },
  {
    kind: 'suspend',
    draw: (prng, nodes) => ({ kind: 'suspend', node: prng.pick(nodes), lapseMs: prng.between(1, DAYS_MS) }),
  },
  { kind: 'lapse', draw: (prng) => ({ kind: 'lapse', lapseMs: prng.between(1, DAYS_MS) }) },
  {
    kind: 'restore',
    draw: (prng, nodes) => ({ kind: 'restore', node: prng.pick(nodes), orderly: prng.chance(700) }),
  },
  {
    kind: 'far-skew',
    draw: (prng, nodes) => ({
      kind: 'far-skew',
      node: prng.pick(nodes),
      offsetMs: prng.between(-DAYS_MS, DAYS_MS),
    }),
  },
  {
    kind: 'throwing-ports',
    draw: (prng, nodes) => ({
      kind: 'throwing-ports',
      node: prng.pick(nodes),
      permille: prng.between(1, 1000),
    }),
  },
  {
    kind: 'drift',
    draw: (prng, nodes) => ({ kind: 'drift', node: prng.pick(nodes), ppm: prng.between(-1000, 1000) }),
  },
  {
    kind: 'scarce-disks',
    draw: (prng, nodes) => ({
      kind: 'scarce-disks',
      nodes: prng.sample(nodes, prng.between(1, nodes.length)),
      spareBytes: prng.between(16, 64) * SPARE_UNIT_BYTES,
    }),
  },
]

function drawFault(prng: Prng, { nodes, weights }: FaultPlanOptions): Fault {
  const weighted = DRAWS.flatMap((draw) => new Array<Draw>(weights[draw.kind] ?? 0).fill(draw))
  return prng.pick(weighted).draw(prng, nodes)
}

const KNOWN = ['nodes', 'durationMs', 'maxGapMs', 'maxHoldMs', 'maxFreezeMs', 'weights', 'budget']

function validatePlanOptions(options: FaultPlanOptions): FaultPlanOptions {
  checkKnown('planFaults', options, KNOWN)
  checkInteger('nodes.length', options.nodes.length, { min: 1, max: 1000 })
  for (const name of ['durationMs', 'maxGapMs', 'maxHoldMs', 'maxFreezeMs'] as const) {
    checkInteger(name, options[name] ?? 1, { min: 1, max: 1e9 })
  }
  const kinds = DRAWS.map(({ kind }) => kind)
  checkKnown('weights', options.weights, kinds)
  const weights = kinds.map((kind) => checkInteger(kind, options.weights[kind] ?? 0, { min: 0, max: 1000 }))
  if (weights.every((weight) => weight === 0)) throw wrongRange('weights', 'must name a kind of fault')
  checkInteger('budget.maxDown', options.budget.maxDown, { min: 0, max: 1000 })
  checkInteger('budget.maxDamaged', options.budget.maxDamaged, { min: 0, max: 1000 })
  return options
}
