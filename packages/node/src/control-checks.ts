import {
  checkBoolean,
  checkInteger,
  checkKnown,
  checkObject,
  checkSignal,
  checkText,
  describe,
  wrongRange,
  wrongType,
} from '@atoll/core'
import type { Change, CommitOptions, ForceOptions, Plan, ProposeOptions } from '@atoll/membership'
import { checkNodeName, checkPartitions, checkZoneName } from '@atoll/ring'

export interface SignalOptions {
  readonly signal?: AbortSignal | undefined
}

/** What the fields of a change must be, by its kind; `?` at the end of those that may be left out. */
const FIELDS: Readonly<Record<Change['kind'], readonly string[]>> = {
  join: ['node', 'id', 'address', 'zone?'],
  leave: ['node'],
  replace: ['node', 'by'],
  'force-replace': ['node', 'by', 'id?', 'address?'],
  'force-remove': ['node'],
  zone: ['node', 'zone'],
  resize: ['partitions'],
}

const CHECKS: Readonly<Record<string, (name: string, value: unknown) => void>> = {
  node: (name, value) => void checkNodeName(name, value),
  by: (name, value) => void checkNodeName(name, value),
  id: (name, value) => void checkText(name, value, /^[0-9a-f]{1,64}$/, 'hexadecimal digits'),
  address: (name, value) => void checkText(name, value, /^.{1,255}$/, 'an address of 1 to 255 characters'),
  zone: (_, value) => void checkZoneName(value),
  partitions: (_, value) => void checkPartitions(value),
}

const MAX_TIMEOUT_MS = 3_600_000
const MAX_CHANGES = 1000

/** Throws `TypeError` or `RangeError` for what is no change of a cluster. */
export function checkChange(change: unknown, name = 'change'): void {
  const given: Partial<Record<string, unknown>> = { ...checkObject(name, change) }
  const { kind } = given
  if (typeof kind !== 'string') throw wrongType(`${name}.kind`, `must be a string, got ${describe(kind)}`)
  const kinds: Readonly<Record<string, readonly string[]>> = FIELDS
  const fields = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
  if (fields === undefined)
    throw wrongRange(
      `${name}.kind`,
      `must be one of ${Object.keys(FIELDS).join(', ')}, got ${describe(kind)}`,
    )
  const names = fields.map((field) => field.replace('?', ''))
  checkKnown(`a change of kind "${kind}"`, given, ['kind', ...names])
  for (const [at, field] of names.entries()) {
    const isOptional = fields[at]?.endsWith('?') === true
    if (!isOptional || given[field] !== undefined) CHECKS[field]?.(`${name}.${field}`, given[field])
  }
}

/** The changes of a call that takes one or several. */
export function checkChanges(changes: Change | readonly Change[]): readonly Change[] {
  const all = Array.isArray(changes) ? changes : [changes]
  checkInteger('changes.length', all.length, { min: 0, max: MAX_CHANGES })
  for (const [at, change] of all.entries())
    checkChange(change, Array.isArray(changes) ? `changes[${at}]` : 'change')
  return all
}

export function checkForce(options: ForceOptions): void {
  checkKnown('force', options, ['missing', 'reason'])
  const missing: unknown = options.missing
  if (!Array.isArray(missing))
    throw wrongType('missing', `must be an array of names, got ${describe(missing)}`)
  for (const [at, node] of missing.entries()) checkNodeName(`missing[${at}]`, node)
  checkText('reason', options.reason, /\S/, 'why the change is forced')
}

export function checkPlan(plan: Plan): void {
  const given: Partial<Record<string, unknown>> = { ...checkObject('plan', plan) }
  if (typeof given['basis'] !== 'string' || !(given['members'] instanceof Map))
    throw wrongType('plan', 'must be what node.cluster.plan() answered, got another object')
}

export function checkPropose(
  name: string,
  options: ProposeOptions & CommitOptions,
  more: readonly string[] = [],
): void {
  checkKnown(name, options, ['signal', 'timeoutMs', ...more])
  checkSignal(options.signal)
  if (options.timeoutMs !== undefined)
    checkInteger('timeoutMs', options.timeoutMs, { min: 1, max: MAX_TIMEOUT_MS })
  if (options.allowViolations !== undefined) checkBoolean('allowViolations', options.allowViolations)
}

export function checkSignalOptions(
  name: string,
  options: SignalOptions,
): { readonly signal: AbortSignal | undefined } {
  checkKnown(name, options, ['signal'])
  checkSignal(options.signal)
  return { signal: options.signal }
}
