import {
  compareBytes,
  EMPTY_BYTES,
  endOfBytes,
  equalBytes,
  groupOf,
  startsWithBytes,
  type TermGroups,
} from '@atoll/core'
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
      readonly groups: TermGroups | undefined
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
  /** Of a group only the first entry is shown; undefined to show all. */
  readonly groups: TermGroups | undefined
  /** Keys that may be read at the same time. */
  readonly maxReads: number
}

/** The next entries of one node, in order. */
interface Stream {
  readonly from: CoverNode
  entries: readonly ReplicaScanEntry[]
  at: number
  /** Entries that it has brought, and how many were merged from all streams before. */
  brought: number
  readonly mergedBefore: number
  done: boolean
  fetching: boolean
}

const MAX_FETCH = 10_000

/** A node's part of a page varies: a quarter more than its share, and some for short pages, spares most refills. */
const FETCH_MARGIN = 1.25
const FETCH_EXTRA = 16

/** How many entries are asked for at a time where only one more of a group is needed. */
const DIG_LIMIT = 32

/** A page that met this many entries that are gone ends early, so that a range of stale ones stays bounded. */
const MAX_GONE = 1000

/**
 * One page of an ordered scan: merges what the nodes of a cover answer. An entry on which all r replicas of its slice
 * agree, by the digest of the record's clock, is answered as it is; where they differ the key is read. Of a group of
 * terms each node brings the first entry that it has. The least of them all is the first one of the group: the replicas
 * of its slice have none before it. So it is judged as any other entry; if it is shown, the streams go on behind the
 * group, and if it is gone, they go back to it and bring every entry of the group, for what they have passed over may
 * be shown.
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
  /** Behind all that was decided. */
  #resume: IndexPosition | undefined
  /** The group of which the first entry is being read, at that slot: whether it is shown decides where the streams go on. */
  #asking: { readonly slot: number; readonly group: Uint8Array } | undefined
  /** The group of which every entry is wanted, since those before are gone. */
  #digging: Uint8Array | undefined
  /** The last group that was shown. */
  #shown: Uint8Array | undefined
  #finished = false

  constructor(plan: ScanPlan) {
    this.#plan = plan
    this.#resume = plan.after
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

  /** What was merged stays; the rest is asked for again, from where the merging is. */
  #begin(cover: Cover): readonly ScanEffect[] {
    this.#restart(cover)
    return this.#advance()
  }

  #restart(cover: Cover): void {
    this.#cover = cover
    this.#streams = cover.nodes.map((from) => ({
      from,
      entries: [],
      at: 0,
      brought: 0,
      mergedBefore: this.#slots.length,
      done: false,
      fetching: false,
    }))
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
    stream.brought += page.entries.length
    this.#skipShown(stream)
    stream.done = page.done
    stream.fetching = false
    return this.#advance()
  }

  #decide(slot: number, payloads: readonly Uint8Array[]): readonly ScanEffect[] {
    const position = this.#positions[slot]
    if (position === undefined || this.#slots[slot] !== 'reading') return []
    this.#reading -= 1
    const isGone = payloads.length === 0
    if (isGone) this.#gone += 1
    this.#slots[slot] = isGone ? 'gone' : answerOf(position, payloads)
    if (this.#asking?.slot === slot) this.#answerGroup(this.#asking.group, isGone)
    return this.#advance()
  }

  #answerGroup(group: Uint8Array, isGone: boolean): void {
    this.#asking = undefined
    if (!isGone) {
      this.#showGroup(group)
      return
    }
    if (this.#digging !== undefined) return
    this.#digging = group
    // Another object, so that what is under way for the old one is not taken for an answer.
    if (this.#cover !== undefined) this.#restart({ ...this.#cover })
  }

  /** The group is shown: nothing more of it is wanted. */
  #showGroup(group: Uint8Array): void {
    this.#digging = undefined
    this.#shown = group
    const term = endOfBytes(group)
    if (term === undefined) this.#endAll()
    else this.#resume = { term, bucket: EMPTY_BYTES, key: EMPTY_BYTES }
    for (const stream of this.#streams) this.#skipShown(stream)
  }

  /** No term is greater than those of the group. */
  #endAll(): void {
    if (this.#cover !== undefined) this.#restart({ ...this.#cover })
    for (const stream of this.#streams) stream.done = true
  }

  /** Of what a stream brings, entries of the group that was shown last are passed over. */
  #skipShown(stream: Stream): void {
    const shown = this.#shown
    if (shown === undefined) return
    for (;;) {
      const head = stream.entries[stream.at]
      if (head === undefined || !startsWithBytes(head.term, shown)) return
      stream.at += 1
    }
  }

  /** Merges as far as the streams reach and the page has room. */
  #advance(): readonly ScanEffect[] {
    const cover = this.#cover
    if (cover === undefined) return []
    const effects: ScanEffect[] = []
    while (this.#mayMerge()) {
      if (this.#refill(cover, effects)) return effects
      const heads = this.#nextHeads()
      if (heads.length === 0) break
      this.#merge(heads, effects)
    }
    if (this.#reading === 0) effects.push(this.#finish())
    return effects
  }

  #mayMerge(): boolean {
    if (this.#asking !== undefined) return false
    return this.#room() > 0 && this.#reading < this.#plan.maxReads && this.#gone < MAX_GONE
  }

  #room(): number {
    return this.#plan.limit - (this.#slots.length - this.#gone)
  }

  /** True while an entry is missing that may be the next one. */
  #refill(cover: Cover, effects: ScanEffect[]): boolean {
    let short = false
    for (let at = 0; at < this.#streams.length; at++) {
      const stream = this.#streams[at]
      if (stream === undefined || stream.at < stream.entries.length || stream.done) continue
      short = true
      if (stream.fetching) continue
      stream.fetching = true
      const isDigging = this.#digging !== undefined
      const limit = isDigging ? DIG_LIMIT : this.#fetchLimit(stream, cover)
      const groups = isDigging ? undefined : this.#plan.groups
      effects.push({ kind: 'fetch', cover, at, after: this.#resume, limit, groups })
    }
    return short
  }

  /**
   * At first by a node's share of the keys; then by its share of what was merged: of groups each node may have its own
   * first entry.
   */
  #fetchLimit({ from, brought, mergedBefore }: Stream, cover: Cover): number {
    const merged = this.#slots.length - mergedBefore
    const share = from.slices / cover.bySlice.length
    const seen = merged === 0 ? share : Math.min(1, brought / merged)
    const expected = this.#plan.groups === undefined ? share : Math.max(share, seen)
    return Math.min(MAX_FETCH, Math.ceil(this.#room() * expected * FETCH_MARGIN) + FETCH_EXTRA)
  }

  /** The streams that stand at the least position. */
  #nextHeads(): number[] {
    let least: ReplicaScanEntry | undefined
    let heads: number[] = []
    for (let at = 0; at < this.#streams.length; at++) {
      const stream = this.#streams[at]
      const head = stream?.entries[stream.at]
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
    const group = this.#plan.groups && groupOf(first.term, this.#plan.groups)
    this.#positions.push(first)
    this.#resume = first
    if (this.#digging !== undefined && !startsWithBytes(first.term, this.#digging)) this.#digging = undefined
    if (this.#agree(first, heads, entries)) {
      this.#slots.push(answerOf(first, first.payloads))
      if (group !== undefined) this.#showGroup(group)
      return
    }
    this.#slots.push('reading')
    this.#reading += 1
    if (group !== undefined) this.#asking = { slot, group }
    effects.push({ kind: 'read', slot, position: first })
  }

  /** Whether exactly the replicas that answer for the slice of this entry have it, and the same of it. */
  #agree(first: ReplicaScanEntry, heads: readonly number[], entries: readonly ReplicaScanEntry[]): boolean {
    const expected = this.#cover?.bySlice[first.slice]
    if (expected === undefined || expected.length !== heads.length) return false
    if (expected.length === 1) return expected[0] === heads[0]
    if (!heads.every((at) => expected.includes(at))) return false
    return entries.every(
      (entry) => entry.slice === first.slice && equalBytes(entry.clockDigest, first.clockDigest),
    )
  }

  #finish(): ScanEffect {
    this.#finished = true
    const exhausted = this.#streams.every((stream) => stream.done && stream.at >= stream.entries.length)
    const next = exhausted ? undefined : this.#resume
    return { kind: 'page', entries: this.#slots.filter((slot) => typeof slot === 'object'), next }
  }
}

function comparePositions(a: IndexPosition, b: IndexPosition): number {
  return compareBytes(a.term, b.term) || compareBytes(a.bucket, b.bucket) || compareBytes(a.key, b.key)
}

function answerOf({ term, bucket, key }: IndexPosition, payloads: readonly Uint8Array[]): KvScanEntry {
  return { term, bucket, key, payloads }
}
