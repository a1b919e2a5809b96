import { AtollError, MiB } from '@atoll/core'
import type { SegmentRow } from './checkpoint.ts'
import type { FilePool } from './file-pool.ts'
import type { ValueLogSettings } from './options.ts'
import type { Files, ValueLogRuntime } from './ports.ts'
import type { Ticket } from './readers.ts'
import { SEAL_BYTES } from './record.ts'
import { encodeSegmentHeader, FIRST_RECORD_OFFSET, segmentName, sizeForRecords } from './segment-file.ts'
import { storageError } from './storage-error.ts'

/** `active`: being written, or not all of it applied yet. `emptied`: nothing points to it any more. */
export type SegmentState = 'free' | 'active' | 'full' | 'emptied'

export interface Segment {
  readonly slot: number
  readonly sizeBytes: number
  state: SegmentState
  liveBytes: number
  /** Readers with a ticket below this may need it still. Counts once it is emptied. */
  neededBelow: Ticket
  /** The checkpoint knows that it is emptied. */
  settled: boolean
  /** Compaction found a value in it that cannot be read. It is left alone. */
  damaged: boolean
  /** Some large value may lie in it. */
  mayHold: boolean
}

export interface SegmentsContext {
  readonly runtime: ValueLogRuntime
  readonly files: Files
  readonly pool: FilePool
  readonly settings: ValueLogSettings
  readonly identity: Uint8Array
}

/** A new segment is begun with this much room on the disk, or with its size if that is less. */
const BEGIN_BYTES = 2 * MiB

/** All segment files of a log: which hold values, which can be written again, and which are given back. */
export class Segments {
  readonly #context: SegmentsContext
  readonly #table = new Map<number, Segment>()
  #nextSlot: number
  #totalLive = 0
  #creating: Promise<Segment> | undefined
  /** Full segments of which so little is in use that they are worth compacting. */
  readonly #ripe = new Set<Segment>()
  /** Called when a segment becomes worth compacting. */
  onRipe: () => void = () => {}

  constructor(context: SegmentsContext, rows: readonly SegmentRow[], nextSlot: number) {
    this.#context = context
    this.#nextSlot = nextSlot
    for (const row of rows) this.#ripen(this.#add({ ...row, state: row.free ? 'free' : 'full' }))
  }

  get nextSlot(): number {
    return this.#nextSlot
  }

  /** Bytes of large values in use, about. */
  get totalLive(): number {
    return this.#totalLive
  }

  get(slot: number): Segment | undefined {
    return this.#table.get(slot)
  }

  all(): IterableIterator<Segment> {
    return this.#table.values()
  }

  /** Counts bytes of large values that came into use in a segment, or went out of it. */
  addLive(slot: number, delta: number): void {
    const segment = this.#table.get(slot)
    if (segment === undefined) return
    const counted = Math.max(0, segment.liveBytes + delta)
    this.#totalLive += counted - segment.liveBytes
    segment.liveBytes = counted
    if (delta > 0) segment.mayHold = true
    this.#ripen(segment)
  }

  /** Nothing more is written to the segment, and all of it is applied. */
  finish(segment: Segment): void {
    segment.state = 'full'
    this.#ripen(segment)
  }

  /** The full segment of which the least is in use, if compacting it is worth the while. */
  ripest(): Segment | undefined {
    let best: Segment | undefined
    for (const segment of this.#ripe) {
      if (!this.#isRipe(segment)) this.#ripe.delete(segment)
      else if (best === undefined || segment.liveBytes < best.liveBytes) best = segment
    }
    return best
  }

  #ripen(segment: Segment): void {
    if (!this.#isRipe(segment) || this.#ripe.has(segment)) return
    this.#ripe.add(segment)
    this.onRipe()
  }

  #isRipe(segment: Segment): boolean {
    if (segment.state !== 'full' || segment.damaged) return false
    return this.#liveShare(segment) <= this.#context.settings.compactAtLiveShare
  }

  /** Corrects the count of a segment. */
  setLive(segment: Segment, liveBytes: number): void {
    this.addLive(segment.slot, liveBytes - segment.liveBytes)
  }

  /** Takes a free segment for a record of `recordBytes`, or creates one. */
  async allocate(recordBytes: number): Promise<Segment> {
    await this.#creating?.catch(() => {})
    const found = this.#free(recordBytes)
    const segment =
      found ??
      (await this.#create(Math.max(this.#standardBytes, sizeForRecords(recordBytes)), { state: 'active' }))
    segment.state = 'active'
    segment.mayHold = false
    return segment
  }

  /** Sees that a segment of the usual size is free, so that the next `allocate` need not wait. */
  async makeReady(): Promise<void> {
    if (this.#creating !== undefined || this.#free(0) !== undefined) return
    this.#creating = this.#create(this.#standardBytes, { state: 'free' })
    try {
      await this.#creating
    } catch (error) {
      // The next `allocate` tries again, and tells whoever waits for it.
      this.#context.runtime.log.warn({ err: error }, 'a segment could not be made ready')
    } finally {
      this.#creating = undefined
    }
  }

  /** Creates free segments until there are `bytes` of segments, and touches each of their bytes. */
  async preallocate(bytes: number): Promise<void> {
    let total = 0
    for (const { sizeBytes } of this.#table.values()) total += sizeBytes
    for (; total < bytes; total += this.#standardBytes)
      await this.#create(this.#standardBytes, { state: 'free', touch: true })
  }

  /** Nothing points to the segment any more; readers with tickets below `neededBelow` may hold old pointers. */
  empty(segment: Segment, neededBelow: Ticket): void {
    this.setLive(segment, 0)
    segment.state = 'emptied'
    segment.settled = false
    segment.neededBelow = neededBelow
  }

  /** For the checkpoint. A segment is noted as free once it is empty, unless the log is still there. */
  rows(positionSlot: number): { rows: SegmentRow[]; emptied: Segment[] } {
    const emptied = [...this.#table.values()].filter(
      ({ state, slot }) => state === 'emptied' && slot !== positionSlot,
    )
    const rows = [...this.#table.values()].map((segment) => ({
      slot: segment.slot,
      sizeBytes: segment.sizeBytes,
      free: segment.state === 'free' || emptied.includes(segment),
      liveBytes: segment.liveBytes,
    }))
    return { rows, emptied }
  }

  /** True if some segment waited only for readers that have gone. */
  waitsForReaders(oldest: Ticket): boolean {
    for (const { state, settled, neededBelow } of this.#table.values()) {
      if (state === 'emptied' && settled && neededBelow <= oldest) return true
    }
    return false
  }

  /** Frees what no reader needs any more, and gives back what is beyond the reserve. */
  async release(oldest: Ticket): Promise<void> {
    let spare = 0
    for (const segment of [...this.#table.values()]) {
      const free = segment.state === 'emptied' && segment.settled && segment.neededBelow <= oldest
      if (free) segment.state = 'free'
      if (segment.state !== 'free') continue
      spare += segment.sizeBytes
      const usual = segment.sizeBytes === this.#standardBytes
      if (usual && spare <= this.#context.settings.reserveBytes) continue
      spare -= segment.sizeBytes
      await this.remove(segment)
    }
  }

  async remove(segment: Segment): Promise<void> {
    this.setLive(segment, 0)
    this.#table.delete(segment.slot)
    await this.#context.pool.drop(segment.slot)
    await this.#context.files.remove(segmentName(segment.slot))
  }

  /** Takes in a segment that the checkpoint did not know. */
  adopt(slot: number, sizeBytes: number): void {
    this.#nextSlot = Math.max(this.#nextSlot, slot + 1)
    this.#add({ slot, sizeBytes, liveBytes: 0, state: 'free' })
  }

  /** What share of the segment is in use, about. */
  #liveShare(segment: Segment): number {
    return segment.liveBytes / (segment.sizeBytes - FIRST_RECORD_OFFSET)
  }

  get #standardBytes(): number {
    return this.#context.settings.segmentBytes
  }

  #free(recordBytes: number): Segment | undefined {
    for (const segment of this.#table.values()) {
      if (segment.state !== 'free' || segment.sizeBytes !== this.#standardBytes) continue
      if (segment.sizeBytes - FIRST_RECORD_OFFSET - SEAL_BYTES >= recordBytes) return segment
    }
    return undefined
  }

  /** In its state from the start: what is free for a moment may be given back in that moment. */
  async #create(sizeBytes: number, options: { state: SegmentState; touch?: boolean }): Promise<Segment> {
    const slot = this.#nextSlot++
    const { files, pool } = this.#context
    try {
      await this.#assertSpace(sizeBytes)
      await pool.use(slot, async (file) => {
        await file.truncate(sizeBytes)
        if (options.touch === true) await this.#touch(slot, sizeBytes)
        const { runtime, identity } = this.#context
        await file.write([encodeSegmentHeader(runtime.digest.crc32, { slot, identity, sizeBytes })], 0)
        await file.sync()
      })
      await files.syncDirectory()
    } catch (error) {
      await pool.drop(slot).catch(() => {})
      await files.remove(segmentName(slot)).catch(() => {})
      throw storageError(`creating a segment of ${sizeBytes} bytes in ${files.label}`, error, {
        definite: true,
      })
    }
    return this.#add({ slot, sizeBytes, liveBytes: 0, state: options.state })
  }

  /**
   * A segment takes room as it is written. On a disk that is nearly full one is begun all the same while there is some: what
   * deletes needs it.
   */
  async #assertSpace(sizeBytes: number): Promise<void> {
    const { files } = this.#context
    const freeBytes = await files.freeBytes()
    if (freeBytes >= Math.min(sizeBytes, BEGIN_BYTES)) return
    const message = `${files.label} is full: ${freeBytes} bytes are free, and a segment is begun with ${BEGIN_BYTES}`
    const details = { reason: 'ENOSPC', freeBytes }
    throw new AtollError('ATOLL_DISK_FULL', message, { definite: true, details })
  }

  /** Random bytes: some disks take zeros without allocating anything. */
  #touch(slot: number, sizeBytes: number): Promise<void> {
    const block = this.#context.runtime.random.bytes(MiB)
    return this.#context.pool.use(slot, async (file) => {
      for (let at = 0; at < sizeBytes; at += MiB) {
        await file.write([block.subarray(0, Math.min(MiB, sizeBytes - at))], at)
      }
    })
  }

  #add(known: { slot: number; sizeBytes: number; liveBytes: number; state: SegmentState }): Segment {
    const { slot, sizeBytes, liveBytes, state } = known
    const flags = { neededBelow: 0, settled: false, damaged: false, mayHold: true }
    const segment: Segment = { slot, sizeBytes, liveBytes, state, ...flags }
    this.#table.set(slot, segment)
    this.#totalLive += liveBytes
    return segment
  }
}
