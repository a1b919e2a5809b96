import { copyRecord, headDigest, type StoredRecord } from '@atoll/causality'
import { type KeyId, KiB, keyText, placeOf } from '@atoll/core'
import type { KnownRecord } from './digest-reads.ts'

/** Larger records are not worth the room. */
const MAX_RECORD_BYTES = 64 * KiB
/** What an entry takes besides its values, about. */
const ENTRY_BYTES = 1024

interface Generation {
  readonly entries: Map<string, KnownRecord>
  bytes: number
}

/**
 * Records that were read more than once of late, so that replicas need only confirm them by their digests: what is here
 * counts for nothing by itself, and may be as old as it likes. Two generations: when the younger one is full, the older one
 * goes, but for what was asked for meanwhile. A key is kept from its second read on, if that comes before as much else
 * was read as a generation takes: of what comes back later, as when more is read in turn than there is room for, every
 * record would be copied to be gone when it is wanted.
 */
export class RecentRecords {
  readonly #maxBytes: number
  readonly #sha1: (data: Uint8Array) => Uint8Array
  #younger: Generation = { entries: new Map(), bytes: 0 }
  #older: Generation = { entries: new Map(), bytes: 0 }
  /** Keys that were read once of late, and what their records would take here. */
  #seen = new Set<string>()
  #seenBytes = 0

  /** About `maxBytes` in all; 0 to keep none. */
  constructor(maxBytes: number, sha1: (data: Uint8Array) => Uint8Array) {
    this.#maxBytes = maxBytes
    this.#sha1 = sha1
  }

  /** A copy, of which the values are the caller's own. */
  get(name: string): KnownRecord | undefined {
    const known = this.#younger.entries.get(name) ?? this.#older.entries.get(name)
    if (known === undefined) return undefined
    if (!this.#younger.entries.has(name)) this.#keep(name, known)
    return { record: copyRecord(known.record), digest: known.digest }
  }

  /** A record as replicas have it, whose values nobody has changed yet. */
  read(name: string, record: StoredRecord): void {
    if (this.#has(name) || this.#seen.delete(name)) this.#replace(name, record)
    else if (this.#maxBytes > 0) this.#see(name, record)
  }

  /** What replicas have from now on, whose values nobody has changed yet. */
  written(name: string, record: StoredRecord): void {
    if (this.#has(name)) this.#replace(name, record)
  }

  #has(name: string): boolean {
    return this.#younger.entries.has(name) || this.#older.entries.has(name)
  }

  #replace(name: string, record: StoredRecord): void {
    this.#forget(this.#younger, name)
    this.#forget(this.#older, name)
    if (bytesOf(record) > Math.min(MAX_RECORD_BYTES, this.#maxBytes / 2)) return
    const copy = copyRecord(record)
    this.#keep(name, { record: copy, digest: headDigest(copy, this.#sha1) })
  }

  #keep(name: string, known: KnownRecord): void {
    const bytes = bytesOf(known.record)
    if (this.#younger.bytes + bytes > this.#maxBytes / 2) {
      this.#older = this.#younger
      this.#younger = { entries: new Map(), bytes: 0 }
    }
    this.#younger.entries.set(name, known)
    this.#younger.bytes += bytes
  }

  #forget(generation: Generation, name: string): void {
    const known = generation.entries.get(name)
    if (known === undefined) return
    generation.entries.delete(name)
    generation.bytes -= bytesOf(known.record)
  }

  #see(name: string, record: StoredRecord): void {
    const bytes = bytesOf(record)
    if (this.#seenBytes + bytes > this.#maxBytes / 2) {
      this.#seen = new Set()
      this.#seenBytes = 0
    }
    this.#seen.add(name)
    this.#seenBytes += bytes
  }
}

/** The name of a key here. No two keys have the same one. */
export function nameOfKey(id: KeyId): string {
  const { type, bucket, key } = id
  const place = placeOf(id)
  if (place === undefined) return `${type} ${bucket.length} ${keyText(bucket)}${keyText(key)}`
  return `${type} @${bucket.length} ${place.length} ${keyText(bucket)}${keyText(place)}${keyText(key)}`
}

function bytesOf({ siblings }: StoredRecord): number {
  return siblings.reduce((sum, { value }) => sum + value.length, ENTRY_BYTES)
}
