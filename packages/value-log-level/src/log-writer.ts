import { type Digests, KiB } from '@atoll/core'
import type { LogPosition } from './checkpoint.ts'
import type { FilePool } from './file-pool.ts'
import type { Op } from './operation.ts'
import { type RecordPlace, recordBytes, SEAL_BYTES } from './record.ts'
import { type EncodedRecord, encodeBatch, encodeSeal } from './record-encoder.ts'
import type { Place, Salt } from './salt.ts'
import type { Segment } from './segment.ts'
import { FIRST_RECORD_OFFSET } from './segment-file.ts'
import type { Segments } from './segments.ts'
import type { Group, Waiting } from './write-queue.ts'

export interface LogWriterContext {
  readonly crc32: Digests['crc32']
  readonly pool: FilePool
  readonly segments: Segments
  readonly salt: Salt
  /** The sequence up to which everything is durable. */
  readonly synced: () => number
}

/**
 * Records of up to so many bytes are written and made durable by one call of the system, where there is one: to wake another
 * thread takes longer than to write them. Larger ones are written while those before them are synced.
 */
const ONE_CALL_BYTES = 128 * KiB

/** Writes records to the end of the log, one segment after the other. */
export class LogWriter {
  readonly #context: LogWriterContext
  #active: Segment | undefined
  #offset: number
  #sequence: number
  /** The segments that were left and not synced since: more than one where the first record of the next one has failed. */
  #left: readonly number[] = []
  /** False once a durable write to the active segment has failed. */
  #writesDurably = true
  /** Where small values are gathered for the disk, from one record to the next. */
  readonly #spare = Buffer.allocUnsafeSlow(ONE_CALL_BYTES)

  constructor(context: LogWriterContext, start: LogPosition) {
    this.#context = context
    this.#active = context.segments.get(start.slot)
    if (this.#active !== undefined) this.#active.state = 'active'
    this.#offset = start.offset
    this.#sequence = start.sequence
  }

  /** Bytes that a record may have in the active segment. */
  get roomBytes(): number {
    return this.#active === undefined ? 0 : this.#active.sizeBytes - SEAL_BYTES - this.#offset
  }

  /**
   * Writes the batches as one record, for which there is room, and makes it durable if it is told to and can do so in
   * one go. After a failure the next record takes its place.
   */
  async write(waiting: readonly Waiting[], isToBeDurable: boolean): Promise<Group> {
    const segment = this.#active
    if (segment === undefined) throw new Error('there is no segment to write to')
    const ops = opsOf(waiting)
    const place = this.#place(segment)
    const { slot, offset, sequence } = place
    const record = encodeBatch(this.#context.crc32, ops, place, this.#spare)
    const left = this.#left
    const { bytes } = record
    const isDurable = isToBeDurable && left.length === 0 && (await this.#writeDurably(record, place))
    if (!isDurable) await this.#context.pool.use(slot, (file) => file.write(record.buffers, offset))
    this.#offset += bytes
    this.#sequence += 1
    if (left.length > 0) this.#left = []
    return { waiting, ops: record.ops, bytes, sequence, slot, end: offset + bytes, left, isDurable }
  }

  /**
   * False if it did not, or failed. Then the record goes to its place by a write, and a sync follows: only by these two it
   * shows what has failed, and a failed write costs a record, but a failed sync ends all writing.
   */
  async #writeDurably({ buffers, bytes }: EncodedRecord, { slot, offset }: Place): Promise<boolean> {
    if (!this.#writesDurably || bytes > ONE_CALL_BYTES) return false
    const writing = this.#context.pool.writeDurably(slot, buffers, offset)
    if (writing === undefined) return false
    try {
      await writing
      return true
    } catch {
      this.#writesDurably = false
      return false
    }
  }

  /** Goes on to a segment that has room for a record of `metaBytes` and `bodyBytes`. */
  async rotate(first: { metaBytes: number; bodyBytes: number }): Promise<void> {
    const bytes = recordBytes(first.metaBytes, first.bodyBytes)
    await this.#goOn(await this.#context.segments.allocate(bytes))
  }

  /** Goes on to a small segment, whatever room there is. */
  async leave(): Promise<void> {
    await this.#goOn(await this.#context.segments.allocateSmall())
  }

  async #goOn(next: Segment): Promise<void> {
    const { pool, crc32 } = this.#context
    const previous = this.#active
    if (previous !== undefined) {
      const place = this.#place(previous)
      const seal = encodeSeal(crc32, next.slot, place)
      try {
        await pool.use(previous.slot, (file) => file.write([seal], place.offset))
      } catch (error) {
        next.state = 'free'
        throw error
      }
      this.#sequence += 1
      this.#left = [...this.#left, previous.slot]
    }
    this.#active = next
    this.#offset = FIRST_RECORD_OFFSET
    this.#writesDurably = true
  }

  #place({ slot }: Segment): RecordPlace {
    const { salt, synced } = this.#context
    return { slot, offset: this.#offset, sequence: this.#sequence, salt, synced: synced() }
  }
}

/** Not `flatMap`, which takes as long for this as the encoding of small operations. */
function opsOf(waiting: readonly Waiting[]): Op[] {
  const ops: Op[] = []
  for (const one of waiting) for (const op of one.ops) ops.push(op)
  return ops
}
