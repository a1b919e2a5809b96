import type { FaultKind, PlannedFault } from '@atoll/sim'

/** What the faults of a run leave of the promises. */
export interface Damage {
  /** Nodes of which the stored data is destroyed or rots at some time. */
  readonly nodes: ReadonlySet<string>
  /** Whether nodes lose each other at some time: then fallbacks may stand in. */
  readonly apart: boolean
  /** Whether wall clocks are wrong at some time. */
  readonly skewed: boolean
}

const APART: ReadonlySet<FaultKind> = new Set(['partition', 'weather', 'crash', 'replace'])

export function damageOf(plan: readonly PlannedFault[]): Damage {
  const faults = plan.map(({ fault }) => fault)
  const nodes = faults.flatMap((fault) =>
    fault.kind === 'replace' || fault.kind === 'rot' ? [fault.node] : [],
  )
  const apart = faults.some(({ kind }) => APART.has(kind))
  const skewed = faults.some(({ kind }) => kind === 'skew' || kind === 'drift')
  return { nodes: new Set(nodes), apart, skewed }
}
