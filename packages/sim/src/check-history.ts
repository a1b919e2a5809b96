import { compareBytes, utf8 } from '@atoll/core'
import { describeOperation, type Operation } from './history.ts'

/** Something that must not be, found in what was recorded. */
export interface Violation {
  /** Which promise is broken. */
  readonly rule: string
  readonly key: string
  /** What was found, and which operations speak against it. */
  readonly message: string
}

export interface WriteOrder {
  /**
   * True if `later` may have missed `earlier`, though it began after `earlier` was acknowledged: for example on two sides of
   * a partition with sloppy quorums. Default never.
   */
  readonly mayMiss?: (earlier: Operation, later: Operation) => boolean
}

/** What reads of each key gave when all was healed; undefined for nothing. */
export type FinalReads = ReadonlyMap<string, string | undefined>

/**
 * No acknowledged write is lost. After healing, a key holds what the last acknowledged write left, or a write concurrent
 * with it or after it, or one of unknown outcome; never what was superseded, certainly failed or never written.
 */
export function checkWrites(
  operations: readonly Operation[],
  finals: FinalReads,
  order: WriteOrder = {},
): Violation[] {
  const violations: Violation[] = []
  const written = writesByKey(operations)
  for (const [key, writes] of written) {
    if (!finals.has(key))
      violations.push({ rule: 'final-read', key, message: 'it was written and never read at the end' })
    else violations.push(...checkFinal({ key, writes, final: finals.get(key) }, order))
  }
  for (const [key, final] of finals) {
    if (final === undefined || written.has(key)) continue
    violations.push({ rule: 'never-written', key, message: `it holds ${final}, and nobody wrote the key` })
  }
  return violations
}

/** Every read gives what a write that had begun by then, and did not certainly fail, has written; or nothing. */
export function checkReads(operations: readonly Operation[]): Violation[] {
  const writes = writesByKey(operations)
  return operations.flatMap((read) => {
    if (read.kind !== 'get' || read.outcome !== 'ok' || read.value === undefined) return []
    const sources = (writes.get(read.key) ?? []).filter((write) => write.value === read.value)
    if (sources.some((write) => write.outcome !== 'fail' && write.began < read.ended)) return []
    return [
      { rule: 'phantom-read', key: read.key, message: `${describeOperation(read)} read ${whence(sources)}` },
    ]
  })
}

/** Every acknowledged `add` is in its set at the end, and nothing is that nobody added. */
export function checkSets(
  operations: readonly Operation[],
  finals: ReadonlyMap<string, ReadonlySet<string>>,
): Violation[] {
  const violations: Violation[] = []
  const adds = operations.filter((operation) => operation.kind === 'add')
  for (const add of adds) {
    const { key, value } = add
    if (add.outcome !== 'ok' || value === undefined || finals.get(key)?.has(value) === true) continue
    violations.push({ rule: 'lost-element', key, message: `${describeOperation(add)} is not in the set` })
  }
  for (const [key, elements] of finals) {
    for (const element of elements) {
      const sources = adds.filter((add) => add.key === key && add.value === element)
      if (sources.some((add) => add.outcome !== 'fail')) continue
      violations.push({
        rule: 'phantom-element',
        key,
        message: `the set holds ${element}, ${whence(sources)}`,
      })
    }
  }
  return violations
}

/**
 * A listing names every key that must exist, names only keys that can be read, and names each once, in the order of its
 * UTF-8 bytes.
 */
export function checkListing(
  operations: readonly Operation[],
  { listed, finals }: { readonly listed: readonly string[]; readonly finals: FinalReads },
  order: WriteOrder = {},
): Violation[] {
  const violations: Violation[] = []
  const violate = (key: string, message: string) => violations.push({ rule: 'listing', key, message })
  for (const key of listed) {
    if (finals.get(key) === undefined) violate(key, 'it is listed, and reading it finds nothing')
  }
  listed.forEach((key, at) => {
    const before = listed[at - 1]
    if (before !== undefined && compareBytes(utf8(before), utf8(key)) >= 0)
      violate(key, `it is listed after ${before}`)
  })
  const names = new Set(listed)
  for (const [key, writes] of writesByKey(operations)) {
    if (names.has(key) || possibleValues(writes, order).has(undefined)) continue
    violate(key, `it is not listed, though ${writes.map(describeOperation).join('; ')}`)
  }
  return violations
}

/** What the replicas of a record hold: by replica, a digest, or undefined for nothing. */
export type ReplicaValues = ReadonlyMap<string, string | undefined>

/** All replicas of a record hold the same. */
export function checkConvergence(records: ReadonlyMap<string, ReplicaValues>): Violation[] {
  return [...records].flatMap(([key, replicas]) => {
    if (new Set(replicas.values()).size <= 1) return []
    const held = [...replicas].map(([replica, digest]) => `${replica} holds ${digest ?? 'nothing'}`)
    return [{ rule: 'convergence', key, message: held.join(', ') }]
  })
}

interface Final {
  readonly key: string
  readonly writes: readonly Operation[]
  readonly final: string | undefined
}

function checkFinal({ key, writes, final }: Final, order: WriteOrder): Violation[] {
  if (possibleValues(writes, order).has(final)) return []
  const sources = writes.filter((write) => write.value === final)
  const rule = sources.length === 0 && final !== undefined ? 'never-written' : 'lost-write'
  const against = writes.filter((write) => write.outcome === 'ok').map(describeOperation)
  const holds = final === undefined ? 'it holds nothing' : `it holds ${final}, ${whence(sources)}`
  return [{ rule, key, message: `${holds}; acknowledged: ${against.join('; ') || 'nothing'}` }]
}

/** What a key may hold in the end. Nothing at all (undefined) counts as written before everything. */
function possibleValues(
  writes: readonly Operation[],
  { mayMiss = () => false }: WriteOrder,
): Set<string | undefined> {
  const acknowledged = writes.filter((write) => write.outcome === 'ok')
  const possible = new Set<string | undefined>()
  if (acknowledged.length === 0) possible.add(undefined)
  for (const write of writes) {
    if (write.outcome === 'fail') continue
    const superseded = acknowledged.some((later) => later.began > write.ended && !mayMiss(write, later))
    // A write of unknown outcome can reach a replica long after its client gave up.
    if (write.outcome === 'unknown' || !superseded) possible.add(write.value)
  }
  return possible
}

function writesByKey(operations: readonly Operation[]): Map<string, Operation[]> {
  const writes = operations.filter(({ kind }) => kind === 'put' || kind === 'delete')
  const byKey = new Map<string, Operation[]>()
  for (const write of writes) {
    const sameKey = byKey.get(write.key)
    if (sameKey === undefined) byKey.set(write.key, [write])
    else sameKey.push(write)
  }
  return byKey
}

function whence(sources: readonly Operation[]): string {
  return sources.length === 0
    ? 'which nobody wrote'
    : `which is from ${sources.map(describeOperation).join('; ')}`
}
