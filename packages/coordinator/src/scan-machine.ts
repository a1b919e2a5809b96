import {
  compareBytes,
  EMPTY_BYTES,
  endOfBytes,
  equalBytes,
  groupOf,
  placeOf,
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
  /** A page of the entries that were searched for `slot`. */
  | {
      readonly kind: 'searched'
      readonly slot: number
      readonly entry: KvScanEntry | undefined
      /** Where to go on, if there is no entry and this was not the end. */
      readonly next: IndexPosition | undefined
      /** How many entries were met that are gone. */
      readonly gone: number
    }

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
  /** The first entry of the group is gone: which of all those behind it is the first that is there? */
  | {
      readonly kind: 'search'
      readonly slot: number
      readonly group: Uint8Array
      readonly after: IndexPosition
    }
  /** Node `lost` fails: send a `cover` without it. */
  | { readonly kind: 'replan'; readonly lost: string }
  | {
      readonly kind: 'page'
      readonly entries: readonly KvScanEntry[]
      readonly next: IndexPosition | undefined
      /** How many entries were met that are gone, with those of searches. */
      readonly gone: number
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

/**
 * A node's part of a page varies, as heads and tails do: so many standard deviations more than its share spare most
 * refills.
 */
const DEVIATIONS = 3

/**
 * A page that met this many entries that are gone ends early, so that a range of stale ones stays bounded. Those of searches
 * count; a search that itself ends early without having found anything ends the page there.
 */
const MAX_GONE = 1000

/**
 * One page of an ordered scan: merges what the nodes of a cover answer. An entry on which all r replicas of its slice
 * agree, by the digest of the record's clock, is answered as it is; where they differ the key is read. Of a group of
 * terms each node brings the first entry that it has. The least of them all is the first one of the group: the replicas
 * of its slice have none before it. So it is judged as any other entry. If it is gone, a scan of the group without
 * grouping says whether another one is there, for what the nodes have passed over may be shown. The streams go on behind
 * the group meanwhile.
 */
export class ScanMachine {
  readonly #plan: ScanPlan
  /** In order; `reading` while its key is read or its group is searched, and `gone` if nothing of it is shown. */
  readonly #slots: (KvScanEntry | 'reading' | 'gone')[] = []
  readonly #positions: IndexPosition[] = []
  /** Of those slots that are the first of a group. */
  readonly #groups = new Map<number, Uint8Array>()
  #cover: Cover | undefined
  #streams: Stream[] = []
  #reading = 0
  #gone = 0
  /** Entries that are gone, of what was searched. */
  #goneInSearches = 0
  /** The first group of which the search ended early, by its slot: the page ends within it. */
  #cut: { readonly slot: number; readonly next: IndexPosition } | undefined
  /** Behind all that was merged. */
  #resume: IndexPosition | undefined
  /** The group that was merged last. */
  #passed: Uint8Array | undefined
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
      case 'searched':
        return this.#found(event.slot, event)
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
    this.#skipPassed(stream)
    stream.done = page.done
    stream.fetching = false
    return this.#advance()
  }

  #decide(slot: number, payloads: readonly Uint8Array[]): readonly ScanEffect[] {
    const position = this.#positions[slot]
    if (position === undefined || this.#slots[slot] !== 'reading') return []
    const group = this.#groups.get(slot)
    if (payloads.length > 0) return this.#settle(slot, answerOf(position, payloads))
    return group === undefined
      ? this.#settle(slot, 'gone')
      : [{ kind: 'search', slot, group, after: position }]
  }

  #found(
    slot: number,
    { entry, next, gone }: Omit<Extract<ScanEvent, { kind: 'searched' }>, 'kind' | 'slot'>,
  ): readonly ScanEffect[] {
    if (this.#slots[slot] !== 'reading') return []
    this.#goneInSearches += gone
    const isCut = entry === undefined && next !== undefined
    if (isCut && slot < (this.#cut?.slot ?? Number.POSITIVE_INFINITY)) this.#cut = { slot, next }
    return this.#settle(slot, entry ?? 'gone')
  }

  #settle(slot: number, outcome: KvScanEntry | 'gone'): readonly ScanEffect[] {
    this.#reading -= 1
    if (outcome === 'gone') this.#gone += 1
    this.#slots[slot] = outcome
    return this.#advance()
  }

  /** Whatever becomes of the group: the streams go on behind it. */
  #pass(group: Uint8Array): void {
    this.#passed = group
    const term = endOfBytes(group)
    if (term === undefined) this.#endAll()
    else this.#resume = { term, bucket: EMPTY_BYTES, key: EMPTY_BYTES }
    for (const stream of this.#streams) this.#skipPassed(stream)
  }

  /** No term is greater than those of the group. */
  #endAll(): void {
    if (this.#cover !== undefined) this.#restart({ ...this.#cover })
    for (const stream of this.#streams) stream.done = true
  }

  /** Nodes that know nothing of groups bring all of their entries. */
  #skipPassed(stream: Stream): void {
    const passed = this.#passed
    if (passed === undefined) return
    for (;;) {
      const head = stream.entries[stream.at]
      if (head === undefined || !startsWithBytes(head.term, passed)) return
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
    if (this.#cut !== undefined || this.#allGone >= MAX_GONE) return false
    return this.#room() > 0 && this.#reading < this.#plan.maxReads
  }

  get #allGone(): number {
    return this.#gone + this.#goneInSearches
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
      const limit = this.#fetchLimit(stream, cover)
      effects.push({ kind: 'fetch', cover, at, after: this.#resume, limit, groups: this.#plan.groups })
    }
    return short
  }

  /**
   * At first by a node's share of the keys; then by its share of what was merged: of groups each node may have its own
   * first entry. No node has more in a page than the page has room for, but for those that are gone: where there were
   * some, as many more are likely.
   */
  #fetchLimit({ from, brought, mergedBefore }: Stream, cover: Cover): number {
    const merged = this.#slots.length - mergedBefore
    const share = Math.min(1, from.slices / cover.bySlice.length)
    const seen = merged === 0 ? share : Math.min(1, brought / merged)
    const expected = this.#plan.groups === undefined ? share : Math.max(share, seen)
    const room = this.#room()
    const margin = Math.ceil(DEVIATIONS * Math.sqrt(room * expected * (1 - expected)))
    return Math.min(MAX_FETCH, Math.min(room, Math.ceil(room * expected) + margin) + this.#gone)
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
    const isAgreed = this.#agree(first, heads, entries)
    this.#positions.push(first)
    this.#slots.push(isAgreed ? answerOf(first, first.payloads) : 'reading')
    this.#resume = first
    if (group !== undefined) {
      this.#groups.set(slot, group)
      this.#pass(group)
    }
    if (isAgreed) return
    this.#reading += 1
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
    const [end, next] = this.#cut
      ? [this.#cut.slot, this.#cut.next]
      : [this.#slots.length, exhausted ? undefined : this.#resume]
    const entries = this.#slots.slice(0, end).filter((slot) => typeof slot === 'object')
    return { kind: 'page', entries, next, gone: this.#allGone }
  }
}

/** A key without a place comes before the same key with one. */
function comparePositions(a: IndexPosition, b: IndexPosition): number {
  return (
    compareBytes(a.term, b.term) ||
    compareBytes(a.bucket, b.bucket) ||
    compareBytes(a.key, b.key) ||
    compareBytes(placeOf(a) ?? EMPTY_BYTES, placeOf(b) ?? EMPTY_BYTES)
  )
}

function answerOf({ term, bucket, key, place }: IndexPosition, payloads: readonly Uint8Array[]): KvScanEntry {
  return place === undefined ? { term, bucket, key, payloads } : { term, bucket, key, place, payloads }
}
