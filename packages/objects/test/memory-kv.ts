import { crc32 } from 'node:zlib'
import { compareBytes, groupOf, type KeyId, startsWithBytes, toHex } from '@atoll/core'
import { KV_TYPES } from '../src/kv-types.ts'
import type {
  KvGetOptions,
  KvStore,
  KvStoreRead,
  KvStoreScan,
  KvStoreScanPage,
  KvStoreValue,
  KvStoreWrite,
  KvStoreWritten,
} from '../src/ports.ts'

export type Operation = 'get' | 'put' | 'delete' | 'scan'

interface Stored extends KvStoreValue {
  readonly event: number
  readonly indexes: NonNullable<KvStoreWrite['indexes']>
}

/** A key-value store in memory, small enough to be believed, with places to put faults in. */
export class MemoryKv implements KvStore {
  readonly records = new Map<string, { id: KeyId; siblings: Stored[] }>()
  /** Called before each operation takes effect; what it throws, the operation throws. */
  before: (operation: Operation, type: string, id?: KeyId) => void | Promise<void> = () => {}
  /** Called after it took effect; what it throws, the operation throws all the same. */
  after: (operation: Operation, type: string, id?: KeyId) => void | Promise<void> = () => {}
  /** What there is besides the types of `KV_TYPES`. */
  readonly more = new Map<string, string>()
  /** At most so many entries in a page, whatever was asked for. */
  pageLimit = Number.POSITIVE_INFINITY
  /** Whether it answers only the first entry of a group, as it may. */
  grouping = true
  /** Whether it tells when it is done with the bytes of a value. */
  lettingGo = true
  readonly counts = new Map<string, number>()
  /** Entries that scans have looked at. */
  scanned = 0
  #event = 0

  async get(id: KeyId, { accept }: KvGetOptions = {}): Promise<KvStoreRead> {
    await this.#note('get', id.type, id)
    const siblings = this.records.get(nameOf(id))?.siblings ?? []
    const values = siblings.filter((value) => accept?.(value) ?? true)
    const context =
      siblings.length === 0 ? undefined : contextOf(Math.max(...siblings.map(({ event }) => event)))
    await this.after('get', id.type, id)
    return { values, context }
  }

  async put(id: KeyId, write: KvStoreWrite): Promise<KvStoreWritten> {
    await this.#note('put', id.type, id)
    const { value, valueCrc32 = crc32(value), indexes = [], ifAlone = false, ifUnchanged } = write
    const others = this.#others(id, write.context)
    const declined = { accepted: 0, primaries: 0, context: undefined, alone: false }
    if (ifAlone && others.length > 0) return declined
    if (ifUnchanged !== undefined && !this.#isUnchanged(id, write.context)) return declined
    const sibling = { value: value.slice(), valueCrc32, indexes, event: ++this.#event }
    this.#replace(id, write.context, [sibling])
    const written = {
      accepted: 1,
      primaries: 1,
      context: contextOf(sibling.event),
      alone: ifAlone || ifUnchanged !== undefined,
    }
    await this.after('put', id.type, id)
    // It has a copy.
    if (this.lettingGo) write.onReleased?.()
    return written
  }

  async delete(id: KeyId, { context }: { readonly context?: Uint8Array | undefined } = {}): Promise<void> {
    await this.#note('delete', id.type, id)
    this.#replace(id, context ?? contextOf(this.#event), [])
    await this.after('delete', id.type, id)
  }

  async scan(scan: KvStoreScan): Promise<KvStoreScanPage> {
    await this.#note('scan', scan.type)
    const { from, to, after, limit = 1000, groups } = scan
    const found = [...this.records.values()]
      .filter(({ id }) => id.type === scan.type)
      .flatMap(({ id, siblings }) => entriesOf(id, siblings, scan))
      .sort(
        (a, b) =>
          compareBytes(a.term, b.term) || compareBytes(a.bucket, b.bucket) || compareBytes(a.key, b.key),
      )
      .filter(({ term }) => from === undefined || compareBytes(term, from) >= 0)
      .filter(({ term }) => to === undefined || compareBytes(term, to) < 0)
      .filter((entry) => after === undefined || compareBytes(positionOf(entry), after) > 0)
    const shown = found.filter((entry, at) => {
      const group = this.grouping && groups && groupOf(entry.term, groups)
      return !group || !found.slice(0, at).some(({ term }) => startsWithBytes(term, group))
    })
    const page = shown.slice(0, Math.min(limit, this.pageLimit))
    this.scanned += page.length
    const last = page.at(-1)
    await this.after('scan', scan.type)
    return {
      entries: page,
      next: page.length < shown.length && last !== undefined ? positionOf(last) : undefined,
    }
  }

  types(): Iterable<readonly [string, string]> {
    return [
      ...Object.entries(KV_TYPES).map(([type, { policy }]) => [type, policy.kind] as const),
      ...this.more,
    ]
  }

  /** Keys held under a type, each once. */
  count(type: string): number {
    return [...this.records.values()].filter(({ id }) => id.type === type).length
  }

  operations(operation: Operation, type: string): number {
    return this.counts.get(`${operation} ${type}`) ?? 0
  }

  /** Damages what is stored, without its knowing. */
  replaceValue(id: KeyId, change: (value: KvStoreValue) => KvStoreValue): void {
    const record = this.records.get(nameOf(id))
    if (record === undefined) throw new Error('there is no such record')
    record.siblings = record.siblings.map((sibling) => ({ ...sibling, ...change(sibling) }))
  }

  async #note(operation: Operation, type: string, id?: KeyId): Promise<void> {
    const name = `${operation} ${type}`
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
    await this.before(operation, type, id)
  }

  /** What the context does not cover. */
  #others(id: KeyId, context: Uint8Array | undefined): readonly Stored[] {
    const seen = context === undefined ? 0 : Number(new TextDecoder().decode(context))
    return (this.records.get(nameOf(id))?.siblings ?? []).filter(({ event }) => event > seen)
  }

  /** The last write that the context has seen is still the last. */
  #isUnchanged(id: KeyId, context: Uint8Array | undefined): boolean {
    const siblings = this.records.get(nameOf(id))?.siblings ?? []
    const last = siblings.reduce((latest, { event }) => Math.max(latest, event), 0)
    return (context === undefined ? 0 : Number(new TextDecoder().decode(context))) === last
  }

  #replace(id: KeyId, context: Uint8Array | undefined, added: Stored[]): void {
    const siblings = [...this.#others(id, context), ...added]
    if (siblings.length === 0) this.records.delete(nameOf(id))
    else this.records.set(nameOf(id), { id, siblings })
  }
}

function nameOf({ type, bucket, key }: KeyId): string {
  return `${type} ${toHex(bucket)} ${toHex(key)}`
}

function contextOf(event: number): Uint8Array {
  return new TextEncoder().encode(`${event}`)
}

function entriesOf(id: KeyId, siblings: readonly Stored[], { index, scope }: KvStoreScan) {
  const entries = siblings
    .flatMap(({ indexes }) => indexes)
    .filter((entry) => entry.index === index && compareBytes(entry.scope, scope) === 0)
  const terms = new Map(entries.map(({ term }) => [toHex(term), term]))
  return [...terms].map(([hex, term]) => ({
    term,
    bucket: id.bucket,
    key: id.key,
    payloads: entries.filter((entry) => toHex(entry.term) === hex).map(({ payload }) => payload),
  }))
}

/** Sorts as the entries do: a space is less than any digit. */
function positionOf({
  term,
  bucket,
  key,
}: {
  term: Uint8Array
  bucket: Uint8Array
  key: Uint8Array
}): Uint8Array {
  return Buffer.from([toHex(term), toHex(bucket), toHex(key)].join(' '))
}
