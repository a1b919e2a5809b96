import {
  clockDigest,
  descends,
  EMPTY_RECORD,
  givenTwice,
  headDigest,
  type MergePolicy,
  mergeRecords,
  recordsEqual,
  type StoredRecord,
  visibleIndexEntries,
  writeRecord,
} from '@atoll/causality'
import {
  AtollError,
  compareBytes,
  equalBytes,
  groupOf,
  type KeyId,
  type Runtime,
  startsWithBytes,
  type TermGroups,
  toHex,
} from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import type {
  CoordinatedWrite,
  IndexPosition,
  ReplicaCallOptions,
  ReplicaCoordinated,
  ReplicaGetOptions,
  ReplicaPut,
  ReplicaPutOptions,
  ReplicaRead,
  ReplicaScan,
  ReplicaScanEntry,
  ReplicaScanPage,
  Replicas,
  ReplicaTarget,
} from '../src/index.ts'

export type Operation = 'get' | 'put' | 'coordinate' | 'hint' | 'scan'

/** What happens to one call. `before`: fails and did nothing. `after`: was done, and the answer is lost. */
export type Fault =
  | { readonly kind: 'unreachable' | 'hang' }
  | { readonly kind: 'before' | 'after'; readonly error: AtollError }

export interface RecordedCall {
  readonly operation: Operation
  readonly node: string
  readonly epoch: number
  /** Undefined for scans, which go to several vnodes. */
  readonly partition?: number
  readonly role?: ReplicaTarget['role']
  /** Of a read, whether the digest of the record is all that is answered. */
  readonly digestOnly?: boolean
  /** Holders that the replica notes to miss the record. */
  readonly hintFor?: readonly string[] | undefined
}

/** A vnode, whoever says that it is there. */
type Place = Pick<ReplicaTarget, 'node' | 'partition'>

interface Stored {
  readonly id: KeyId
  readonly record: StoredRecord
}

interface Vnode {
  readonly records: Map<string, Stored>
  readonly corrupt: Set<string>
  counter: number
}

/** Replicas in memory: every vnode a map that merges, behind calls that take time and may fail. */
export class FakeReplicas implements Replicas {
  readonly calls: RecordedCall[] = []
  /** Entries sent by scans. */
  entriesFetched = 0
  /** Nodes that refuse connections. */
  readonly dead = new Set<string>()
  /** Nodes of builds before answer with the record. */
  knowsDigests: (node: string) => boolean = () => true
  /** Those of builds before answer a scan with every entry of a group. */
  knowsGroups: (node: string) => boolean = () => true
  delayMs: (node: string, operation: Operation) => number = () => 1
  fault: (node: string, operation: Operation) => Fault | undefined = () => undefined
  /** Says by which nodes the values of a put are let go of when it is answered. */
  letsGo: (node: string) => boolean = () => false
  readonly #runtime: Runtime
  readonly #policyOf: (type: string) => MergePolicy
  readonly #partitions: number
  readonly #vnodes = new Map<string, Vnode>()

  constructor(runtime: Runtime, policyOf: (type: string) => MergePolicy, partitions: number) {
    this.#runtime = runtime
    this.#policyOf = policyOf
    this.#partitions = partitions
  }

  get(target: ReplicaTarget, id: KeyId, options: ReplicaGetOptions): Promise<ReplicaRead> {
    const digestOnly = options.digestOnly === true && this.knowsDigests(target.node)
    return this.#call({ operation: 'get', ...target, digestOnly }, options, () => {
      const vnode = this.#vnode(target)
      const key = keyOf(id)
      if (vnode.corrupt.has(key)) return { record: undefined, corrupt: true }
      const record = vnode.records.get(key)?.record
      if (record === undefined || !digestOnly) return { record, corrupt: false }
      return { record: undefined, corrupt: false, digest: headDigest(record, this.#runtime.digest.sha1) }
    })
  }

  put(
    target: ReplicaTarget,
    id: KeyId,
    record: StoredRecord,
    options: ReplicaPutOptions,
  ): Promise<ReplicaPut> {
    options.onAccepted?.()
    const { hintFor } = options
    return this.#call({ operation: 'put', ...target, hintFor }, options, () => {
      const isCorrupt = this.#vnode(target).corrupt.has(keyOf(id))
      const before = this.peek(target, id)
      const twice = before === undefined || !options.tellTwice ? [] : givenTwice(before, record)
      const changed = this.merge(target, id, record)
      const held = this.peek(target, id)
      const alone = !isCorrupt && held !== undefined && recordsEqual(held, record)
      const released = this.letsGo(target.node)
      return options.tellAlone ? { changed, alone, twice, released } : { changed, twice, released }
    })
  }

  coordinate(
    target: ReplicaTarget,
    id: KeyId,
    write: CoordinatedWrite,
    options: ReplicaCallOptions,
  ): Promise<ReplicaCoordinated> {
    const { hintFor } = write
    return this.#call({ operation: 'coordinate', ...target, hintFor }, options, () => {
      const vnode = this.#vnode(target)
      const current = this.peek(target, id)
      const known = write.context?.vector ?? new Map()
      const clock = current?.clock ?? new Map()
      if (write.ifAlone && !(descends(known, clock) && descends(clock, known)))
        return { record: EMPTY_RECORD, declined: true }
      vnode.counter += 1
      const actor = toHex(this.#runtime.digest.sha1(new TextEncoder().encode(nameOf(target)))).slice(0, 16)
      const dot = { actor, counter: vnode.counter }
      const wallMs = this.#runtime.clock.wallMs()
      const record = writeRecord({ policy: this.#policyOf(id.type), current, write, dot, wallMs })
      this.store(target, id, record)
      return { record }
    })
  }

  hint(
    target: ReplicaTarget,
    _id: KeyId,
    hintFor: readonly string[],
    options: ReplicaCallOptions,
  ): Promise<void> {
    return this.#call({ operation: 'hint', ...target, hintFor }, options, () => {})
  }

  scan(node: string, request: ReplicaScan, options: ReplicaCallOptions): Promise<ReplicaScanPage> {
    const { epoch } = request
    return this.#call({ operation: 'scan', node, epoch }, options, () => {
      const entries = request.vnodes
        .flatMap(({ partition, slices }) => this.#entries({ node, partition }, slices, request))
        .filter((entry) => inRange(entry, request))
        .sort(comparePositions)
      const { groups } = request
      const shown = groups && this.knowsGroups(node) ? firstsOf(entries, groups) : entries
      const page = shown.slice(0, request.limit)
      this.entriesFetched += page.length
      return { entries: page, done: page.length === shown.length }
    })
  }

  /** What a vnode holds, corrupt or not. */
  peek(place: Place, id: KeyId): StoredRecord | undefined {
    return this.#vnode(place).records.get(keyOf(id))?.record
  }

  store(place: Place, id: KeyId, record: StoredRecord): void {
    const vnode = this.#vnode(place)
    vnode.corrupt.delete(keyOf(id))
    vnode.records.set(keyOf(id), { id, record })
  }

  merge(place: Place, id: KeyId, record: StoredRecord): boolean {
    const vnode = this.#vnode(place)
    const current = vnode.corrupt.has(keyOf(id)) ? undefined : this.peek(place, id)
    const merged = current === undefined ? record : mergeRecords(this.#policyOf(id.type), current, record)
    this.store(place, id, merged)
    return merged !== current
  }

  forget(place: Place, id: KeyId): void {
    this.#vnode(place).records.delete(keyOf(id))
  }

  /** Puts the vnode back to before its first write: it counts from the beginning again. */
  putBack(place: Place): void {
    this.#vnodes.delete(nameOf(place))
  }

  corrupt(place: Place, id: KeyId): void {
    this.#vnode(place).corrupt.add(keyOf(id))
  }

  /** Everywhere that a key is, fallbacks included. */
  holders(id: KeyId): string[] {
    return [...this.#vnodes].filter(([, vnode]) => vnode.records.has(keyOf(id))).map(([name]) => name)
  }

  recordsOf(id: KeyId): StoredRecord[] {
    return [...this.#vnodes.values()]
      .map((vnode) => vnode.records.get(keyOf(id))?.record)
      .filter((record) => record !== undefined)
  }

  count(operation: Operation): number {
    return this.calls.filter((call) => call.operation === operation).length
  }

  #entries(place: Place, slices: readonly number[], request: ReplicaScan): ReplicaScanEntry[] {
    const entries: ReplicaScanEntry[] = []
    for (const { id, record } of this.#vnode(place).records.values()) {
      const slice = partitionOf(id, this.#partitions, this.#runtime.digest.sha1)
      if (id.type !== request.type || !slices.includes(slice)) continue
      const digest = clockDigest(record, this.#runtime.digest.sha1)
      for (const { index, scope, term, payloads } of visibleIndexEntries(record)) {
        if (index !== request.index || !equalBytes(scope, request.scope)) continue
        entries.push({ term, bucket: id.bucket, key: id.key, slice, clockDigest: digest, payloads })
      }
    }
    return entries
  }

  async #call<T>(call: RecordedCall, options: ReplicaCallOptions, work: () => T): Promise<T> {
    const { operation, node } = call
    this.calls.push(call)
    const fault: Fault | undefined = this.dead.has(node)
      ? { kind: 'unreachable' }
      : this.fault(node, operation)
    const delayMs = fault?.kind === 'hang' ? Number.MAX_SAFE_INTEGER : this.delayMs(node, operation)
    await this.#pass(delayMs, options)
    if (fault?.kind === 'unreachable') throw new AtollError('ATOLL_UNREACHABLE', `${node} cannot be reached`)
    if (fault?.kind === 'before') throw fault.error
    const result = work()
    if (fault?.kind === 'after') throw fault.error
    return result
  }

  async #pass(delayMs: number, { timeoutMs, signal }: ReplicaCallOptions): Promise<void> {
    const late = delayMs > timeoutMs
    try {
      await this.#runtime.clock.sleep(late ? timeoutMs : delayMs, { signal })
    } catch (error) {
      throw new AtollError('ATOLL_ABORTED', 'aborted', { cause: error })
    }
    if (late) throw new AtollError('ATOLL_TIMEOUT', `no answer in ${timeoutMs} ms`)
  }

  #vnode(place: Place): Vnode {
    const name = nameOf(place)
    let vnode = this.#vnodes.get(name)
    if (vnode === undefined) {
      vnode = { records: new Map(), corrupt: new Set(), counter: 0 }
      this.#vnodes.set(name, vnode)
    }
    return vnode
  }
}

const nameOf = ({ node, partition }: Place) => `${node}/${partition}`
const keyOf = (id: KeyId) => `${id.type}/${toHex(id.bucket)}/${toHex(id.key)}`

function inRange(entry: IndexPosition, { from, to, after }: ReplicaScan): boolean {
  if (from !== undefined && compareBytes(entry.term, from) < 0) return false
  if (to !== undefined && compareBytes(entry.term, to) >= 0) return false
  return after === undefined || comparePositions(entry, after) > 0
}

function comparePositions(a: IndexPosition, b: IndexPosition): number {
  return compareBytes(a.term, b.term) || compareBytes(a.bucket, b.bucket) || compareBytes(a.key, b.key)
}

/** Of sorted entries the first of each group, and those that belong to none. */
export function firstsOf<Entry extends Pick<IndexPosition, 'term'>>(
  entries: readonly Entry[],
  groups: TermGroups,
): readonly Entry[] {
  let last: Uint8Array | undefined
  return entries.filter(({ term }) => {
    if (last !== undefined && startsWithBytes(term, last)) return false
    last = groupOf(term, groups)
    return true
  })
}
