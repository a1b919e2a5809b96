import { GiB, KiB, MiB } from '@atoll/core'
import type { ReplicaTable } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'
import type { Plan } from './plan.ts'
import { describeChange } from './staging.ts'

/** A plan in a few lines, for an operator: what changes, who gives and gets how much, and what it cannot keep. */
export function planText(document: ClusterDocument, plan: Plan): string {
  const nodes = [...new Set([...document.members.keys(), ...plan.members.keys()])].sort()
  const resize = plan.changes.find((change) => change.kind === 'resize')
  const anew =
    resize &&
    `Resize: every node files its records anew, by ${resize.partitions} partitions, one after the other`
  return [
    `Plan of epoch ${plan.epoch}`,
    ...plan.changes.map((change) => `  ${describeChange(change)}`),
    ...(anew === undefined ? [] : [anew]),
    `Moves: ${moveText(plan)}`,
    ...nodes.map((node) => `  ${node}: ${nodeText(document.replicas, plan, node)}`),
    ...warnings(document, plan),
  ].join('\n')
}

function moveText({ transfers, moved, leastMoves }: Plan): string {
  const sizes = transfers.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes]))
  const sum = bytesText(sizes.reduce((total, bytes) => total + bytes, 0))
  const size = sizes.length === 0 ? '' : `, ${sum}${sizes.length < transfers.length ? ' or more' : ''}`
  const pending = transfers.filter(({ kind }) => kind !== 'drop').length - moved
  const before = pending > 0 ? ` and ${pending} that are pending` : ''
  return `${moved} copies of partitions${before}${size}; the least possible is ${leastMoves}`
}

function nodeText(replicas: ReplicaTable, { transfers, members }: Plan, node: string): string {
  const holds = replicas.filter((holders) => holders.includes(node)).length
  const gives = transfers.filter((move) => 'from' in move && move.from === node).length
  const gets = transfers.filter((move) => move.kind !== 'drop' && move.to === node).length
  const state = members.get(node)?.state ?? 'gone'
  const waits = state === 'down' && gives + gets > 0 ? '; they wait until it is back' : ''
  return `${state}, holds ${holds}, gives ${gives}, gets ${gets}${waits}`
}

function warnings({ n }: ClusterDocument, { owners, violations, lost, members }: Plan): string[] {
  const nodes = new Set(owners).size
  const all = `Warning: all copies of ${lost.length} partitions are lost: ${lost.join(', ')}`
  const few = `Warning: ${n} replicas need ${n} nodes; there will be ${nodes}`
  const zoned = [...members.values()].some(({ zone }) => zone !== undefined)
  const kinds = zoned ? (['node', 'zone'] as const) : (['node'] as const)
  const shared = kinds.flatMap((kind) => {
    const count = violations.filter((violation) => violation.kind === kind).length
    return count === 0
      ? []
      : [`Note: ${count} of ${owners.length} windows of ${n} partitions meet a ${kind} twice`]
  })
  return [...(lost.length > 0 ? [all] : []), ...(nodes < n ? [few] : []), ...shared]
}

function bytesText(bytes: number): string {
  const units: readonly (readonly [number, string])[] = [
    [GiB, 'GiB'],
    [MiB, 'MiB'],
    [KiB, 'KiB'],
  ]
  const [size, unit] = units.find(([least]) => bytes >= least) ?? [1, 'bytes']
  return `${Math.round((bytes / size) * 10) / 10} ${unit}`
}
