import type { Prng } from '@atoll/sim'
import type { HouseOptions } from './options.ts'

/**
 * What an operator does to the cluster while clients use it.
 *
 * - `join`, `leave`, `replace`: of nodes, staged.
 * - `down`: says that a node is down, though it is not, and later that it is up.
 * - `type`: changes how many replicas a bucket type has.
 * - `zone`: a node is put into another zone.
 * - `resize`: the ring gets twice as many partitions.
 * - `force`: a majority loses its power, and those who are left decide without it.
 * - `impostor`: a node is started on an empty disk by a program that begins a cluster of its own under the old name;
 *   later it is back.
 * - `raise`: the sets get more replicas where lists are long enough, and are read while those are being filled.
 * - `restore-all`: every node is put back from a copy, one after the other.
 * - `twin`: a copy of a node is started beside its original.
 * - `put-back`: one node is put back from a copy, which may be told or not, and at once writes what it wrote before.
 * - `desert`: a node is staged to join, and never comes back.
 * - `bounce`: one node after the other is closed in order and started again.
 * - `upgrade`: the nodes begin as those of the build before, and are started as those of this one, one after the other.
 */
export type ChangeKind =
  | 'join'
  | 'leave'
  | 'replace'
  | 'down'
  | 'type'
  | 'desert'
  | 'zone'
  | 'resize'
  | 'force'
  | 'impostor'
  | 'raise'
  | 'restore-all'
  | 'twin'
  | 'put-back'
  | 'upgrade'
  | 'bounce'

export type Changes = Partial<Readonly<Record<ChangeKind, number>>>

export const CHANGE_KINDS: readonly ChangeKind[] = [
  'join',
  'leave',
  'replace',
  'down',
  'type',
  'desert',
  'zone',
  'resize',
  'force',
  'impostor',
  'raise',
  'restore-all',
  'twin',
  'put-back',
  'upgrade',
  'bounce',
]

export interface PlannedChange {
  readonly atMs: number
  readonly kind: ChangeKind
  /** Whether what is staged by then is committed at once, or left for later. */
  readonly commits: boolean
  /** Whether two nodes commit at the same time. */
  readonly rivals: boolean
}

const MAX_STEPS = 4

export function planChanges(prng: Prng, { changes, durationMs }: HouseOptions): readonly PlannedChange[] {
  const lots = CHANGE_KINDS.flatMap((kind) => new Array<ChangeKind>(changes[kind] ?? 0).fill(kind))
  if (lots.length === 0) return []
  const steps = Array.from({ length: prng.between(1, MAX_STEPS) }, () => ({
    atMs: prng.between(0, durationMs),
    kind: prng.pick(lots),
    commits: prng.chance(700),
    rivals: prng.chance(300),
  }))
  return steps.sort((a, b) => a.atMs - b.atMs)
}

/** Names of nodes that may come: what goes wrong may strike them too. */
export function namesToCome({ nodes }: HouseOptions, plan: readonly PlannedChange[]): readonly string[] {
  const coming = plan.filter(({ kind }) => kind === 'join' || kind === 'replace' || kind === 'desert')
  return coming.map((_, at) => `n${nodes + at + 1}`)
}
