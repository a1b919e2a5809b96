import { checkObject, describe, GiB, KiB, MiB, wrongType } from '@atoll/core'
import type { ReplicaTable } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'
import type { Plan } from './plan.ts'
import type { SpacingViolation } from './spacing.ts'
import { describeChange } from './staging.ts'

/**
 * A plan in a few lines, for an operator: what changes, who gives and gets how much, and what it cannot keep. Throws
 * `TypeError` for what is no document or no plan.
 */
export function planText(document: ClusterDocument, plan: Plan): string {
  checkHasMembers('document', document, 'what node.cluster.document is')
  checkHasMembers('plan', plan, 'what node.cluster.plan() answered')
  const nodes = [...new Set([...document.members.keys(), ...plan.members.keys()])].sort()
  const resize = plan.changes.find((change) => change.kind === 'resize')
  const anew =
    resize &&
    `Resize: every node files its records anew, by ${resize.partitions} partitions, one after the other`
  return [
    `Plan of epoch ${plan.epoch}`,
    ...plan.changes.map((change) => `  ${describeChange(change)}`),
    ...plan.later.map(
      (change) => `  later, when all have filed their records anew: ${describeChange(change)}`,
    ),
    ...(anew === undefined ? [] : [anew]),
    `Moves: ${moveText(plan)}`,
    ...nodes.map((node) => `  ${node}: ${nodeText(document.replicas, plan, node)}`),
    ...warnings(document, plan),
  ].join('\n')
}

function checkHasMembers(argument: string, given: unknown, expected: string): void {
  const { members }: Partial<Record<string, unknown>> = { ...checkObject(argument, given) }
  if (!(members instanceof Map)) throw wrongType(argument, `must be ${expected}, got ${describe(given)}`)
}

function moveText({ transfers, moved, leastMoves }: Plan): string {
  const sizes = transfers.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes]))
  const sum = bytesText(sizes.reduce((total, bytes) => total + bytes, 0))
  const size = sizes.length === 0 ? '' : `, ${sum}${sizes.length < transfers.length ? ' or more' : ''}`
  const pending = transfers.filter(({ kind }) => kind !== 'drop').length - moved
  const before = pending > 0 ? ` and ${pending} that are pending` : ''
  return `${moved} copies of partitions${before}${size}; the least possible is ${leastMoves}`
}

function nodeText(replicas: ReplicaTable, { transfers, members, waitsFor }: Plan, node: string): string {
  const holds = replicas.filter((holders) => holders.includes(node)).length
  const gives = transfers.filter((move) => 'from' in move && move.from === node).length
  const gets = transfers.filter((move) => move.kind !== 'drop' && move.to === node).length
  const state = members.get(node)?.state ?? 'gone'
  const isAway = state === 'down' || waitsFor.includes(node)
  const waits = isAway && gives + gets > 0 ? '; they wait until it is back' : ''
  return `${state}, holds ${holds}, gives ${gives}, gets ${gets}${waits}`
}

function warnings({ n }: ClusterDocument, plan: Plan): string[] {
  const { lost } = plan
  const all = `Warning: all copies of ${lost.length} partitions are lost: ${lost.join(', ')}`
  const short = (['node', 'zone'] as const).flatMap((kind) => spacingText(kind, n, plan) ?? [])
  const away = plan.waitsFor.map(awayText)
  return [...(lost.length > 0 ? [all] : []), ...[...away, ...short].map((text) => `Warning: ${text}`)]
}

function awayText(node: string): string {
  const instead = 'stage a force-replace or a force-remove of it instead'
  return `${node} is not up, and this plan is not done before it is back. If it is gone for good, ${instead}`
}

/** What the lists of replicas fall short of when all transfers are done; undefined if of nothing. */
export function spacingText(
  kind: SpacingViolation['kind'],
  n: number,
  { violations, owners, members }: Pick<Plan, 'violations' | 'owners' | 'members'>,
): string | undefined {
  const short = violations.filter((violation) => violation.kind === kind)
  const [first] = short
  if (first === undefined) return undefined
  const { partition, nodes } = first
  const zoneOf = (node: string) => members.get(node)?.zone ?? 'no zone'
  const listed = nodes.map((node) => (kind === 'node' ? node : `${node} (${zoneOf(node)})`)).join(', ')
  const how =
    kind === 'node'
      ? `fewer than ${n} replicas`
      : `their ${nodes.length} replicas in ${first.distinct} zones, and could have them in ${first.wanted}`
  return `${short.length} of ${owners.length} partitions will have ${how}; partition ${partition} is on ${listed}`
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
