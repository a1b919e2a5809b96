import { compareBytes, equalBytes } from '@atoll/core'
import type { KvScanEntry } from './kv.ts'
import type { IndexPosition, ReplicaScanEntry, ReplicaScanPage } from './ports.ts'
import type { Cover, CoverNode } from './scan-cover.ts'

export type ScanEvent =
  /** The first cover, or one in place of that which failed. */
  | { readonly kind: 'cover'; readonly cover: Cover }
  | {
      readonly kind: 'fetched'
      readonly cover: Cover
      readonly at: number
      readonly page: ReplicaScanPage
    }
  | { readonly kind: 'failed'; readonly cover: Cover; readonly at: number }
  /** What a read of the key of `slot` shows at that place of the index; nothing if it is not there. */
  | { readonly kind: 'read'; readonly slot: number; readonly payloads: readonly Uint8Array[] }

export type ScanEffect =
  | {
      readonly kind: 'fetch'
      readonly cover: Cover
      readonly at: number
      readonly after: IndexPosition | undefined
      readonly limit: number
    }
  /** The replicas differ about this key. */
  | { readonly kind: 'read'; readonly slot: number; readonly position: IndexPosition }
  /** Node `lost` fails: send a `cover` without it. */
  | { readonly kind: 'replan'; readonly lost: string }
  | {
      readonly kind: 'page'
      readonly entries: readonly KvScanEntry[]
      readonly next: IndexPosition | undefined
    }

export interface ScanPlan {
  readonly after: IndexPosition | undefined
  readonly limit: number
  /** Keys that may be read at the same time. */
  readonly maxReads: number
}

/** The next entries of one node, in order. */
interface Stream {
  readonly from: CoverNode
  entries: readonly ReplicaScanEntry[]
  at: number
  last: IndexPosition | undefined
  done: boolean
  fetching: boolean
}

const MAX_FETCH = 10_000

/** A node's part of a page varies: a quarter more than its share, and some for short pages, spares most refills. */
const FETCH_MARGIN = 1.25
const FETCH_EXTRA = 16

/** A page that met this many entries that are gone ends early, so that a range of stale ones stays bounded. */
const MAX_GONE = 1000

/**
 * One page of an ordered scan: merges what the nodes of a cover answer. An entry on which all r replicas of its slice
 * agree, by the digest of the record's clock, is answered as it is; where they differ the key is read.
 */
export class ScanMachine {
  readonly #plan: ScanPlan
  /** In order; undefined while its key is read, and empty if the read does not show it. */
  readonly #slots: (KvScanEntry | 'reading' | 'gone')[] = []
  readonly #positions: IndexPosition[] = []
  #cover: Cover | undefined
  #streams: Stream[] = []
  #reading = 0
  #gone = 0
  #finished = false

  constructor(plan: ScanPlan) {
    this.#plan = plan
  }

  step(event: ScanEvent): readonly ScanEffect[] {
    if (this.#finished) return []
    switch (event.kind) {
      case 'cover':
        return this.#begin(event.cover)
      case 'fetched':
        return event.cover === this.#cover ? this.#take(event.at, event.page) : []
      case 'failed':
        return event.cover === this.#cover ? this.#replan(event.at) : []
      case 'read':
        return this.#decide(event.slot, event.payloads)
    }
  }

  /** What was merged stays; the rest is asked for again, from after the last merged position. */
  #begin(cover: Cover): readonly ScanEffect[] {
    const last = this.#positions.at(-1) ?? this.#plan.after
    this.#cover = cover
    this.#streams = cover.nodes.map((from) => ({
      from,
      entries: [],
      at: 0,
      last,
      done: false,
      fetching: false,
    }))
    return this.#advance()
  }

  #replan(at: number): readonly ScanEffect[] {
    const lost = this.#streams[at]?.from.node
    this.#cover = undefined
    this.#streams = []
    return lost === undefined ? [] : [{ kind: 'replan', lost }]
  }

  /** A reply that neither brings an entry nor ends the stream would be asked for for ever. */
  #take(at: number, page: ReplicaScanPage): readonly ScanEffect[] {
    const stream = this.#streams[at]
    if (stream === undefined) return []
    if (page.entries.length === 0 && !page.done) return this.#replan(at)
    stream.entries = page.entries
    stream.at = 0
    stream.last = page.entries.at(-1) ?? stream.last
    stream.done = page.done
    stream.fetching = false
    return this.#advance()
  }

  #decide(slot: number, payloads: readonly Uint8Array[]): readonly ScanEffect[] {
    const position = this.#positions[slot]
    if (position === undefined || this.#slots[slot] !== 'reading') return []
    this.#reading -= 1
    if (payloads.length === 0) this.#gone += 1
    this.#slots[slot] = payloads.length === 0 ? 'gone' : answerOf(position, payloads)
    return this.#advance()
  }

  /** Merges as far as the streams reach and the page has room. */
  #advance(): readonly ScanEffect[] {
    const cover = this.#cover
    if (cover === undefined) return []
    const effects: ScanEffect[] = []
    while (this.#room() > 0 && this.#reading < this.#plan.maxReads && this.#gone < MAX_GONE) {
      if (this.#refill(cover, effects)) return effects
      const heads = this.#nextHeads()
      if (heads.length === 0) break
      this.#merge(heads, effects)
    }
    if (this.#reading === 0) effects.push(this.#finish())
    return effects
  }

  #room(): number {
    return this.#plan.limit - (this.#slots.length - this.#gone)
  }

  /** True while an entry is missing that may be the next one. */
  #refill(cover: Cover, effects: ScanEffect[]): boolean {
    let short = false
    for (const [at, stream] of this.#streams.entries()) {
      if (stream.at < stream.entries.length || stream.done) continue
      short = true
      if (stream.fetching) continue
      stream.fetching = true
      const share = stream.from.slices / cover.bySlice.length
      const limit = Math.min(MAX_FETCH, Math.ceil(this.#room() * share * FETCH_MARGIN) + FETCH_EXTRA)
      effects.push({ kind: 'fetch', cover, at, after: stream.last, limit })
    }
    return short
  }

  /** The streams that stand at the least position. */
  #nextHeads(): number[] {
    let least: ReplicaScanEntry | undefined
    let heads: number[] = []
    for (const [at, stream] of this.#streams.entries()) {
      const head = stream.entries[stream.at]
      if (head === undefined) continue
      const order = least === undefined ? -1 : comparePositions(head, least)
      if (order > 0) continue
      if (order < 0) heads = []
      least = head
      heads.push(at)
    }
    return heads
  }

  #merge(heads: readonly number[], effects: ScanEffect[]): void {
    const entries: ReplicaScanEntry[] = []
    for (const at of heads) {
      const stream = this.#streams[at]
      const entry = stream?.entries[stream.at]
      if (stream === undefined || entry === undefined) continue
      entries.push(entry)
      stream.at += 1
    }
    const [first] = entries
    if (first === undefined) return
    const slot = this.#slots.length
    this.#positions.push(first)
    if (this.#agree(first, heads, entries)) {
      this.#slots.push(answerOf(first, first.payloads))
      return
    }
    this.#slots.push('reading')
    this.#reading += 1
    effects.push({ kind: 'read', slot, position: first })
  }

  /** Whether exactly the replicas that answer for the slice of this entry have it, and the same of it. */
  #agree(first: ReplicaScanEntry, heads: readonly number[], entries: readonly ReplicaScanEntry[]): boolean {
    const expected = this.#cover?.bySlice[first.slice]
    if (expected === undefined || expected.length !== heads.length) return false
    if (!heads.every((at) => expected.includes(at))) return false
    return entries.every(
      (entry) => entry.slice === first.slice && equalBytes(entry.clockDigest, first.clockDigest),
    )
  }

  #finish(): ScanEffect {
    this.#finished = true
    const exhausted = this.#streams.every((stream) => stream.done && stream.at >= stream.entries.length)
    const next = exhausted ? undefined : this.#positions.at(-1)
    return { kind: 'page', entries: this.#slots.filter((slot) => typeof slot === 'object'), next }
  }
}

function comparePositions(a: IndexPosition, b: IndexPosition): number {
  return compareBytes(a.term, b.term) || compareBytes(a.bucket, b.bucket) || compareBytes(a.key, b.key)
}

function answerOf({ term, bucket, key }: IndexPosition, payloads: readonly Uint8Array[]): KvScanEntry {
  return { term, bucket, key, payloads }
}
