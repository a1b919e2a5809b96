import { HOUR_MS } from '@atoll/core'
import type { FaultKind, PlannedFault } from '@atoll/sim'
import type { ChangeKind, PlannedChange } from './change-plan.ts'

/** What the faults of a run leave of the promises. */
export interface Damage {
  /** Whether stored data is destroyed, rots, or is put back from a copy at some time. */
  readonly any: boolean
  /** Nodes of which faults do that: the stored data is destroyed, rots, or is put back from a copy at some time. */
  readonly nodes: ReadonlySet<string>
  /** Whether that is by copies alone: such a node is told from others, and does not count before it has caught up. */
  readonly onlyCopies: boolean
  /** Whether nodes lose each other at some time: then fallbacks may stand in. */
  readonly apart: boolean
  /** Whether wall clocks are wrong at some time. */
  readonly skewed: boolean
  /** Whether hours may go by between two steps of one call, or so many clocks say so that the cluster believes it. */
  readonly lapsed: boolean
  /** Whether what a replica missed could always be noted by another one. */
  readonly noted: boolean
  /** Whether some decided without the others: what those had decided may be lost. */
  readonly forced: boolean
}

/** A fallback stands in for a node that is not seen, and for one whose disk does not do what it shall. */
const APART: ReadonlySet<FaultKind> = new Set([
  'partition',
  'weather',
  'crash',
  'replace',
  'slow-disk',
  'failing-disk',
  'full-disk',
  'full-disks',
  'scarce-disks',
  'reset',
  'freeze',
  'suspend',
  'restore',
])
const COPYING: ReadonlySet<ChangeKind> = new Set(['restore-all', 'twin', 'put-back'])
const APART_BY_CHANGES: ReadonlySet<ChangeKind> = new Set([
  'down',
  'impostor',
  'upgrade',
  'bounce',
  ...COPYING,
])
const LAPSING: ReadonlySet<FaultKind> = new Set(['suspend', 'lapse'])
const DAMAGING: ReadonlySet<FaultKind> = new Set(['replace', 'rot', 'restore'])
/** Of two machines, one may be hours behind the other for a moment when it goes on. */
const SKEWING: ReadonlySet<FaultKind> = new Set(['skew', 'far-skew', 'drift', 'suspend', 'lapse'])

/** Whoever dies tells nobody what was missed of its last writes, and a bad disk keeps no notes. */
export const UNNOTED: ReadonlySet<FaultKind> = new Set([
  'crash',
  'replace',
  'rot',
  'restore',
  'failing-disk',
  'full-disk',
  'full-disks',
  'scarce-disks',
])
/**
 * A majority dies before others decide without it, a member loses its power before another cluster takes its name, a
 * replica that a type has got is filled while writes go on, and nodes of the build before note nothing.
 */
export const UNNOTED_CHANGES: ReadonlySet<ChangeKind> = new Set([
  'force',
  'impostor',
  'type',
  'raise',
  'upgrade',
  ...COPYING,
])

export function damageOf(
  planned: readonly PlannedFault[],
  changes: readonly Pick<PlannedChange, 'kind'>[],
): Damage {
  const faults = planned.map(({ fault }) => fault)
  const nodes = faults.flatMap((fault) => ('node' in fault && DAMAGING.has(fault.kind) ? [fault.node] : []))
  const apart =
    faults.some(({ kind }) => APART.has(kind)) || changes.some(({ kind }) => APART_BY_CHANGES.has(kind))
  const skewed = faults.some(({ kind }) => SKEWING.has(kind))
  const lapsed =
    faults.some(({ kind }) => LAPSING.has(kind)) || withoutBelieved(planned).length < planned.length
  const noted =
    !faults.some(({ kind }) => UNNOTED.has(kind)) && !changes.some(({ kind }) => UNNOTED_CHANGES.has(kind))
  const forced = changes.some(({ kind }) => kind === 'force')
  const onlyCopies = !faults.some(({ kind }) => kind === 'replace' || kind === 'rot')
  const any = nodes.length > 0 || changes.some(({ kind }) => COPYING.has(kind))
  const told = { nodes: new Set(nodes), onlyCopies, apart: apart || forced, skewed, lapsed }
  return { any, ...told, noted, forced }
}

/** Less than what a collection leaves to readers. */
const SAFE_MS = 23 * HOUR_MS

/**
 * The faults without those by which a cluster is wrong about the time. One clock that is ahead is found out by the others.
 * Of two at a time the wrong ones may be believed; and what one that is far behind has marked looks as if it was long ago.
 */
export function withoutBelieved(planned: readonly PlannedFault[]): readonly PlannedFault[] {
  let wrongUntilMs = 0
  return planned.filter(({ fault, fromMs, untilMs }) => {
    if (fault.kind !== 'far-skew') return true
    if (fault.offsetMs < -SAFE_MS || fromMs <= wrongUntilMs) return false
    wrongUntilMs = untilMs
    return true
  })
}
