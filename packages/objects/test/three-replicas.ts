import { crc32 } from 'node:zlib'
import { AtollError, compareBytes, type KeyId, toHex } from '@atoll/core'
import type {
  KvGetOptions,
  KvStore,
  KvStoreRead,
  KvStoreScan,
  KvStoreScanPage,
  KvStoreWrite,
  KvStoreWritten,
} from '../src/index.ts'

export type ReplicaCall = 'get' | 'put' | 'delete' | 'scan'

interface Sibling {
  readonly at: number
  readonly event: number
  readonly value: Uint8Array
  readonly indexes: NonNullable<KvStoreWrite['indexes']>
}

interface Held {
  readonly id: KeyId
  readonly clock: readonly number[]
  readonly siblings: readonly Sibling[]
}

const REPLICAS = [0, 1, 2] as const
const QUORUM = 2

/**
 * A key-value store of three replicas, of which every call reaches those that a test says: small enough to be believed. A
 * write that fewer than two have is there all the same, and fails as one of which nobody knows what becomes of it. A read
 * hears as many as it reaches, and heals only if it is asked to.
 */
export class ThreeReplicas implements KvStore {
  /** Whom a call reaches, the one that begins a write first. */
  reach: (call: ReplicaCall, type: string) => readonly number[] | Promise<readonly number[]> = () => REPLICAS
  readonly #replicas = REPLICAS.map(() => new Map<string, Held>())

  async get(id: KeyId, { accept, repair }: KvGetOptions = {}): Promise<KvStoreRead> {
    const reached = await this.#reached('get', id.type)
    const held = reached.map((at) => this.#held(at, id)).reduce(merge)
    if (repair) for (const at of reached) this.#set(at, merge(this.#held(at, id), held))
    const values = held.siblings.map(({ value }) => ({ value, valueCrc32: crc32(value) }))
    const context = held.clock.some((events) => events > 0) ? contextOf(held.clock) : undefined
    return { values: values.filter((value) => accept?.(value) ?? true), context }
  }

  async put(id: KeyId, write: KvStoreWrite): Promise<KvStoreWritten> {
    const { value, indexes = [], ifAlone = false, ifUnchanged } = write
    const reached = await this.#reached('put', id.type)
    const seen = clockOf(write.context)
    const asked = ifUnchanged === 'all' ? REPLICAS : reached.slice(0, 1)
    const isAlone = asked.every((at) => reached.includes(at) && isSame(this.#held(at, id).clock, seen))
    if ((ifAlone || ifUnchanged !== undefined) && !isAlone)
      return { accepted: 0, primaries: 0, context: undefined, alone: false }
    return this.#write(id, reached, { seen, value, indexes })
  }

  async delete(id: KeyId, { context }: { readonly context?: Uint8Array | undefined } = {}): Promise<void> {
    const reached = await this.#reached('delete', id.type)
    const all = REPLICAS.map((at) => this.#held(at, id)).reduce(merge).clock
    this.#write(id, reached, {
      seen: context === undefined ? all : clockOf(context),
      value: undefined,
      indexes: [],
    })
  }

  async scan(scan: KvStoreScan): Promise<KvStoreScanPage> {
    const reached = await this.#reached('scan', scan.type)
    const ids = new Map(
      reached.flatMap((at) => [...(this.#replicas[at] ?? [])].map(([name, { id }]) => [name, id])),
    )
    const entries = [...ids.values()]
      .filter(({ type }) => type === scan.type)
      .flatMap((id) => {
        const { siblings } = reached.map((at) => this.#held(at, id)).reduce(merge)
        return siblings
          .flatMap(({ indexes }) => indexes)
          .filter(({ index, scope }) => index === scan.index && compareBytes(scope, scan.scope) === 0)
          .filter(({ term }) => scan.from === undefined || compareBytes(term, scan.from) >= 0)
          .filter(({ term }) => scan.to === undefined || compareBytes(term, scan.to) < 0)
          .map(({ term, payload }) => ({ term, bucket: id.bucket, key: id.key, payloads: [payload] }))
      })
      .sort((a, b) => compareBytes(a.term, b.term))
    return { entries, next: undefined }
  }

  /** How many records of a type are there when all replicas are heard. */
  count(type: string): number {
    const names = new Set(
      this.#replicas.flatMap((records) =>
        [...records].flatMap(([name, held]) => (held.id.type === type ? [name] : [])),
      ),
    )
    return [...names].filter((name) => {
      const [first] = this.#replicas.flatMap((records) => records.get(name) ?? [])
      if (first === undefined) return false
      return REPLICAS.map((at) => this.#held(at, first.id)).reduce(merge).siblings.length > 0
    }).length
  }

  async #reached(call: ReplicaCall, type: string): Promise<readonly number[]> {
    const reached = await this.reach(call, type)
    if (reached.length === 0)
      throw new AtollError('ATOLL_QUORUM_IMPOSSIBLE', 'nobody is there', { definite: true })
    return reached
  }

  #write(
    id: KeyId,
    reached: readonly number[],
    {
      seen,
      value,
      indexes,
    }: Pick<Sibling, 'indexes'> & {
      readonly seen: readonly number[]
      readonly value: Uint8Array | undefined
    },
  ): KvStoreWritten {
    const [at = 0] = reached
    const before = this.#held(at, id)
    const event = (before.clock[at] ?? 0) + 1
    const clock = REPLICAS.map((each) =>
      each === at ? event : Math.max(before.clock[each] ?? 0, seen[each] ?? 0),
    )
    const left = before.siblings.filter((sibling) => !covers(seen, sibling))
    const added = value === undefined ? [] : [{ at, event, value: value.slice(), indexes }]
    const written = { id, clock, siblings: [...left, ...added] }
    for (const each of reached) this.#set(each, merge(this.#held(each, id), written))
    if (reached.length < QUORUM)
      throw new AtollError('ATOLL_QUORUM_UNMET', 'too few have it', { definite: false })
    const { length } = reached
    return { accepted: length, primaries: length, context: contextOf(clock), alone: left.length === 0 }
  }

  #held(at: number, id: KeyId): Held {
    return this.#replicas[at]?.get(nameOf(id)) ?? { id, clock: [0, 0, 0], siblings: [] }
  }

  #set(at: number, held: Held): void {
    this.#replicas[at]?.set(nameOf(held.id), held)
  }
}

function merge(a: Held, b: Held): Held {
  const kept = (mine: Held, other: Held) =>
    mine.siblings.filter(
      (sibling) => !covers(other.clock, sibling) || other.siblings.some((each) => isOne(each, sibling)),
    )
  const mine = kept(a, b)
  const theirs = kept(b, a).filter((sibling) => !mine.some((each) => isOne(each, sibling)))
  const clock = REPLICAS.map((at) => Math.max(a.clock[at] ?? 0, b.clock[at] ?? 0))
  return { id: a.id, clock, siblings: [...mine, ...theirs] }
}

function isOne(a: Sibling, b: Sibling): boolean {
  return a.at === b.at && a.event === b.event
}

function covers(clock: readonly number[], { at, event }: Sibling): boolean {
  return (clock[at] ?? 0) >= event
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return REPLICAS.every((at) => a[at] === b[at])
}

function contextOf(clock: readonly number[]): Uint8Array {
  return Buffer.from(clock.join(' '))
}

function clockOf(context: Uint8Array | undefined): readonly number[] {
  return context === undefined ? [0, 0, 0] : Buffer.from(context).toString().split(' ').map(Number)
}

function nameOf({ type, bucket, key }: KeyId): string {
  return `${type} ${toHex(bucket)} ${toHex(key)}`
}
