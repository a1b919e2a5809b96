import { type StoredRecord, visibleIndexEntries } from '@atoll/causality'
import { type AtollError, compareBytes, endOfBytes, equalBytes, type KeyId } from '@atoll/core'
import type { Placement } from '@atoll/ring'
import { Call, type CallOptions, type Site } from './call.ts'
import type { KvScan, KvScanEntry } from './kv.ts'
import { aborted, asAtollError, timedOutScan } from './outcome.ts'
import type { IndexPosition } from './ports.ts'
import type { Cover } from './scan-cover.ts'
import { type ScanEffect, ScanMachine, type ScanPlan } from './scan-machine.ts'

export interface ScanRequest extends ScanPlan {
  readonly scan: KvScan
  /** Of this moment. */
  readonly placement: () => Placement
  /** A cover without the lost nodes. Throws if there is none. */
  readonly cover: (placement: Placement, lost: LostNodes) => Cover
  /** Reads a key with the quorum of the scan. `shows` says whether a record has what the scan has met. */
  readonly read: (
    id: KeyId,
    shows: (record: StoredRecord) => boolean,
    options: CallOptions,
  ) => Promise<StoredRecord | undefined>
}

export interface LostNodes {
  readonly nodes: ReadonlySet<string>
  /** Why the last one was lost. */
  readonly cause: AtollError | undefined
}

export interface ScanPageFound {
  readonly entries: readonly KvScanEntry[]
  readonly next: IndexPosition | undefined
  /** How many entries were met that are gone. */
  readonly gone: number
}

/** Entries of a group that are looked at together, where the first of it is gone. */
const SEARCH_LIMIT = 8

/** Drives a `ScanMachine`. */
export class ScanCall extends Call<ScanPageFound> {
  readonly #request: ScanRequest
  readonly #machine: ScanMachine
  readonly #lost = new Set<string>()
  readonly #endMs: number
  #lastError: AtollError | undefined
  #epoch = 0

  constructor(site: Site, options: CallOptions, request: ScanRequest) {
    super(site, options)
    this.#request = request
    this.#machine = new ScanMachine(request)
    this.#endMs = site.runtime.clock.monotonicMs() + options.timeoutMs
  }

  protected override begin(): void {
    this.#plan()
  }

  protected override onTimeout(): void {
    const { timeoutMs } = this.options
    this.reject(timedOutScan(timeoutMs, this.#lastError))
  }

  protected override onAbort(signal: AbortSignal): void {
    this.reject(aborted(signal, true))
  }

  /** A node that failed under another epoch may well have failed because that is over. */
  #plan(): void {
    try {
      const placement = this.#request.placement()
      if (placement.epoch !== this.#epoch) this.#lost.clear()
      this.#epoch = placement.epoch
      const cover = this.#request.cover(placement, { nodes: this.#lost, cause: this.#lastError })
      this.#apply(this.#machine.step({ kind: 'cover', cover }))
    } catch (error) {
      this.#fail(error)
    }
  }

  #apply(effects: readonly ScanEffect[]): void {
    if (this.answered) return
    for (const effect of effects) {
      switch (effect.kind) {
        case 'fetch':
          this.#fetch(effect)
          break
        case 'read':
          this.#read(effect.slot, effect.position)
          break
        case 'search':
          this.#search(effect)
          break
        case 'replan':
          this.site.runtime.probe.mark('coordinator.scan_replanned')
          this.#lost.add(effect.lost)
          this.#plan()
          break
        case 'page':
          this.resolve({ entries: effect.entries, next: effect.next, gone: effect.gone })
      }
    }
  }

  #fetch({ cover, at, after, limit, groups }: Extract<ScanEffect, { kind: 'fetch' }>): void {
    const from = cover.nodes[at]
    if (from === undefined) return
    const { type, index, scope, from: first, to } = this.#request.scan
    const request = {
      vnodes: from.vnodes,
      partitions: cover.bySlice.length,
      epoch: cover.epoch,
      type,
      index,
      scope,
      from: first,
      to,
      after,
      limit,
      groups,
    }
    this.asking()
    const asked = this.#optionsForRest(this.site.settings.attemptTimeoutMs)
    this.site.replicas.scan(from.node, request, asked).then(
      (page) => {
        this.#apply(this.#machine.step({ kind: 'fetched', cover, at, page }))
        this.heard()
      },
      (error: unknown) => {
        this.#lastError = asAtollError(error)
        this.#apply(this.#machine.step({ kind: 'failed', cover, at }))
        this.heard()
      },
    )
  }

  /** Where replicas differ, the key itself says what is true, and reading it repairs them. */
  #read(slot: number, position: IndexPosition): void {
    const { type } = this.#request.scan
    const { bucket, key, place } = position
    this.site.runtime.probe.mark('coordinator.scan_read')
    this.site.runtime.metrics.count('atoll_coordinator_scan_reads_total')
    this.asking()
    const shows = (record: StoredRecord) => this.#visible(record, position).length > 0
    this.#request.read({ type, bucket, key, place }, shows, this.#optionsForRest()).then(
      (record) => {
        this.#apply(this.#machine.step({ kind: 'read', slot, payloads: this.#visible(record, position) }))
        this.heard()
      },
      (error: unknown) => {
        this.#fail(error)
        this.heard()
      },
    )
  }

  #search({ slot, group, after }: Extract<ScanEffect, { kind: 'search' }>): void {
    const { scan } = this.#request
    const to = leastOf(scan.to, endOfBytes(group))
    const within = { scan: { ...scan, to }, after, limit: SEARCH_LIMIT, groups: undefined }
    this.site.runtime.probe.mark('coordinator.scan_searched')
    this.asking()
    new ScanCall(this.site, this.#optionsForRest(), { ...this.#request, ...within }).run().then(
      ({ entries, next, gone }) => {
        this.#apply(this.#machine.step({ kind: 'searched', slot, entry: entries[0], next, gone }))
        this.heard()
      },
      (error: unknown) => {
        this.reject(error)
        this.heard()
      },
    )
  }

  /** Whoever is asked now has as long as is left, and no longer than it may. The caller's time is over first. */
  #optionsForRest(longestMs = Number.POSITIVE_INFINITY): CallOptions {
    const leftMs = Math.max(1, Math.ceil(this.#endMs - this.site.runtime.clock.monotonicMs()))
    return this.optionsForOne({ timeoutMs: Math.min(leftMs, longestMs), signal: this.options.signal })
  }

  #visible(record: StoredRecord | undefined, { term }: IndexPosition): readonly Uint8Array[] {
    const { index, scope } = this.#request.scan
    if (record === undefined) return []
    const entry = visibleIndexEntries(record).find(
      (other) => other.index === index && equalBytes(other.scope, scope) && equalBytes(other.term, term),
    )
    return entry?.payloads ?? []
  }

  #fail(error: unknown): void {
    if (this.answered) return
    this.site.runtime.metrics.count('atoll_coordinator_unmet_total', 1, { kind: 'scan' })
    this.reject(error)
  }
}

function leastOf(a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return compareBytes(a, b) < 0 ? a : b
}
