import type { PlannedFault } from '@atoll/sim'

/** What the faults of a run leave of the promises. */
export interface Damage {
  /** Nodes of which the stored data is destroyed or rots at some time. */
  readonly nodes: ReadonlySet<string>
  /** Whether wall clocks are wrong at some time. */
  readonly skewed: boolean
}

export function damageOf(plan: readonly PlannedFault[]): Damage {
  const faults = plan.map(({ fault }) => fault)
  const nodes = faults.flatMap((fault) =>
    fault.kind === 'replace' || fault.kind === 'rot' ? [fault.node] : [],
  )
  const skewed = faults.some(({ kind }) => kind === 'skew' || kind === 'drift')
  return { nodes: new Set(nodes), skewed }
}
