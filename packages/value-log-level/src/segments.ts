import { KiB } from '@atoll/core'
import type { LogPosition, SegmentRow } from './checkpoint.ts'
import type { FilePool } from './file-pool.ts'
import type { ValueLogSettings } from './options.ts'
import type { Files, ValueLogRuntime } from './ports.ts'
import type { Ticket } from './readers.ts'
import { SEAL_BYTES } from './record.ts'
import { liveShare, type Segment, type SegmentState } from './segment.ts'
import { FIRST_RECORD_OFFSET, sizeForRecords } from './segment-file.ts'
import { SegmentFiles } from './segment-files.ts'

/** Up to where the log is written. */
type Written = Pick<LogPosition, 'slot' | 'offset'>

export interface SegmentsContext {
  readonly runtime: ValueLogRuntime
  readonly files: Files
  readonly pool: FilePool
  readonly settings: ValueLogSettings
  readonly identity: Uint8Array
}

/** The smallest segment that is created. */
const SMALLEST_BYTES = 64 * KiB
/** Before the first doubt. */
const NEVER = -1

/** All segment files of a log: which hold values, which can be written again, and which are given back. */
export class Segments {
  readonly #context: SegmentsContext
  readonly #files: SegmentFiles
  readonly #table = new Map<number, Segment>()
  #nextSlot: number
  #totalLive = 0
  #creating: Promise<Segment> | undefined
  #doubts = 0
  /** How much space in free segments is kept. */
  reserveBytes: number
  /** Full segments of which so little is in use that they are worth compacting. */
  readonly #ripe = new Set<Segment>()
  /** Those to which nothing points any more, and that are not free yet. */
  readonly #emptied = new Set<Segment>()
  /** Called when a segment becomes worth compacting. */
  onRipe: () => void = () => {}

  constructor(context: SegmentsContext, rows: readonly SegmentRow[], nextSlot: number) {
    this.#context = context
    this.#files = new SegmentFiles(context)
    this.#nextSlot = nextSlot
    this.reserveBytes = context.settings.reserveBytes
    for (const row of rows) {
      const segment = this.#add({ ...row, state: row.free ? 'free' : 'full' })
      if (!row.isCounted) segment.countedAt = NEVER
      this.#ripen(segment)
    }
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
    segment.changes += 1
    if (delta > 0) segment.mayHold = true
    this.#ripen(segment)
  }

  /** Nothing more is written to the segment, whose last record ends at `end` if there is one, and all of it is applied. */
  finish(segment: Segment, end = FIRST_RECORD_OFFSET): void {
    segment.state = 'full'
    segment.usedBytes = end - FIRST_RECORD_OFFSET
    segment.isFresh = false
    this.#ripen(segment)
  }

  /**
   * The full segments of which at most this share of what was written is in use; that with the least last. What large values
   * leave over at the end of one they leave over in the next one, too.
   */
  emptiest(atLiveShare: number): Segment[] {
    const isWorthIt = ({ state, damaged, liveBytes, usedBytes }: Segment) =>
      state === 'full' && !damaged && liveBytes <= atLiveShare * usedBytes
    return [...this.#table.values()].filter(isWorthIt).sort((a, b) => b.liveBytes - a.liveBytes)
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
    return segment.state === 'full' && !segment.damaged && this.#holdsLittle(segment)
  }

  /** Corrects the count of a segment. */
  setLive(segment: Segment, liveBytes: number): void {
    this.addLive(segment.slot, liveBytes - segment.liveBytes)
  }

  /** Values may have been hidden that no count knows of. */
  doubt(): void {
    if (this.#totalLive > 0) this.#doubts += 1
  }

  /** What a recount that begins now is to be told when it is done. */
  get doubts(): number {
    return this.#doubts
  }

  isInDoubt({ state, countedAt }: Segment): boolean {
    return state === 'full' && countedAt < this.#doubts
  }

  /** The full segment of which the count is in doubt for longest. */
  mostDoubtful(): Segment | undefined {
    let oldest: Segment | undefined
    for (const segment of this.#table.values()) {
      if (this.isInDoubt(segment) && segment.countedAt < (oldest?.countedAt ?? this.#doubts)) oldest = segment
    }
    return oldest
  }

  /**
   * Bytes that were written, and that nothing uses: those of full segments, and of the one being written up to
   * `written`.
   */
  deadBytes(written: Written): number {
    let dead = 0
    for (const { state, slot, sizeBytes, liveBytes } of this.#table.values()) {
      if (state === 'free') continue
      const used = slot === written.slot ? written.offset : sizeBytes
      dead += Math.max(0, used - FIRST_RECORD_OFFSET - liveBytes)
    }
    return dead
  }

  /** Whether compacting the segment being written gives back so many bytes, and is worth the while, once it is left. */
  isWorthLeaving({ slot, offset }: Written, leastBytes: number): boolean {
    const segment = this.#table.get(slot)
    if (segment === undefined || !this.#holdsLittle(segment)) return false
    const deadBytes = offset - FIRST_RECORD_OFFSET - segment.liveBytes
    const { preallocateBytes } = this.#context.settings
    const isSmall = segment.isFresh || segment.sizeBytes <= this.smallBytes
    const unusedBytes = isSmall || preallocateBytes > 0 ? 0 : segment.sizeBytes - offset
    return deadBytes + unusedBytes >= leastBytes
  }

  /** Whether of what was written to the segment being written no more than this share is in use. */
  isInUseAtMost({ slot, offset }: Written, share: number): boolean {
    const liveBytes = this.#table.get(slot)?.liveBytes ?? 0
    const usedBytes = offset - FIRST_RECORD_OFFSET
    return usedBytes > FIRST_RECORD_OFFSET && liveBytes <= share * usedBytes
  }

  /** Bytes that are free to be written: in free segments, and in the one being written from `written` on. */
  freeBytes(written: Written): number {
    let free = 0
    for (const { state, slot, sizeBytes } of this.#table.values()) {
      if (state === 'free') free += sizeBytes
      else if (slot === written.slot) free += sizeBytes - written.offset
    }
    return free
  }

  /** What a segment has that is begun because little is written. */
  get smallBytes(): number {
    return Math.min(
      this.#standardBytes,
      Math.max(SMALLEST_BYTES, Math.ceil(this.#standardBytes / 16 / 4096) * 4096),
    )
  }

  /** Creates a segment for little. */
  async allocateSmall(): Promise<Segment> {
    await this.#creating?.catch(() => {})
    return this.#create(this.smallBytes, { state: 'active' })
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
    segment.countedAt = this.#doubts
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
    this.#emptied.add(segment)
  }

  /**
   * For the checkpoint. A segment is noted as free once it is empty, unless the log is still there; and so is one that
   * the log has gone on to of which nothing is applied yet: whatever is in it is found behind the checkpoint, if
   * anything is.
   */
  rows(positionSlot: number): { rows: SegmentRow[]; emptied: Segment[] } {
    const emptied = [...this.#emptied].filter(({ slot }) => slot !== positionSlot)
    const rows = [...this.#table.values()].map((segment) => {
      const { slot, sizeBytes, state } = segment
      const isAhead = state === 'active' && slot !== positionSlot
      const free = state === 'free' || isAhead || emptied.includes(segment)
      const liveBytes = free ? 0 : segment.liveBytes
      return { slot, sizeBytes, free, liveBytes, isCounted: segment.countedAt >= this.#doubts }
    })
    return { rows, emptied }
  }

  /** True if some segment waited only for readers that have gone. */
  waitsForReaders(oldest: Ticket): boolean {
    for (const { settled, neededBelow } of this.#emptied) if (settled && neededBelow <= oldest) return true
    return false
  }

  /** True if more is free than is kept. */
  get hasSurplus(): boolean {
    let free = 0
    for (const { state, sizeBytes } of this.#table.values()) if (state === 'free') free += sizeBytes
    return free > this.reserveBytes
  }

  /** True if a segment was emptied, and no checkpoint says so yet. */
  get isUnsettled(): boolean {
    for (const { settled } of this.#emptied) if (!settled) return true
    return false
  }

  /** Frees what no reader needs any more, and gives back what is beyond the reserve. */
  async release(oldest: Ticket): Promise<void> {
    let spare = 0
    for (const segment of [...this.#table.values()]) {
      const free = segment.state === 'emptied' && segment.settled && segment.neededBelow <= oldest
      if (free) {
        segment.state = 'free'
        this.#emptied.delete(segment)
      }
      if (segment.state !== 'free') continue
      spare += segment.sizeBytes
      const usual = segment.sizeBytes === this.#standardBytes
      if (usual && spare <= this.reserveBytes) continue
      spare -= segment.sizeBytes
      await this.#remove(segment)
    }
  }

  /** Removes a file that is none of the segments. */
  discard(slot: number): Promise<void> {
    return this.#files.remove(slot)
  }

  async #remove(segment: Segment): Promise<void> {
    this.setLive(segment, 0)
    this.#table.delete(segment.slot)
    this.#emptied.delete(segment)
    await this.#files.remove(segment.slot)
  }

  /** Takes in a segment that the checkpoint did not know. */
  adopt(slot: number, sizeBytes: number): void {
    this.#add({ slot, sizeBytes, liveBytes: 0, state: 'free' })
  }

  #holdsLittle(segment: Segment): boolean {
    return liveShare(segment) <= this.#context.settings.compactAtLiveShare
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
    const { state, touch = false } = options
    await this.#files.create(slot, sizeBytes, { touch })
    const segment = this.#add({ slot, sizeBytes, liveBytes: 0, state })
    segment.isFresh = !touch
    return segment
  }

  #add(known: { slot: number; sizeBytes: number; liveBytes: number; state: SegmentState }): Segment {
    const { slot, sizeBytes, liveBytes, state } = known
    const flags = { neededBelow: 0, settled: false, damaged: false, mayHold: true }
    const counted = { countedAt: this.#doubts, isFresh: false, changes: 0 }
    const usedBytes = sizeBytes - FIRST_RECORD_OFFSET
    const segment: Segment = { slot, sizeBytes, liveBytes, usedBytes, state, ...flags, ...counted }
    this.#table.set(slot, segment)
    this.#totalLive += liveBytes
    return segment
  }
}
