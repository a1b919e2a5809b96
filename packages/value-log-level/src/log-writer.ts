import type { Digests } from '@atoll/core'
import type { LogPosition } from './checkpoint.ts'
import type { FilePool } from './file-pool.ts'
import { encodeBatch, encodeSeal, type Op, type RecordPlace, recordBytes, SEAL_BYTES } from './record.ts'
import type { Salt } from './salt.ts'
import { FIRST_RECORD_OFFSET } from './segment-file.ts'
import type { Segment, Segments } from './segments.ts'
import type { Group, Waiting } from './write-queue.ts'

export interface LogWriterContext {
  readonly crc32: Digests['crc32']
  readonly pool: FilePool
  readonly segments: Segments
  readonly salt: Salt
  /** The sequence up to which everything is durable. */
  readonly synced: () => number
}

/** Writes records to the end of the log, one segment after the other. */
export class LogWriter {
  readonly #context: LogWriterContext
  #active: Segment | undefined
  #offset: number
  #sequence: number
  /** The segment that was left and not synced since. */
  #left: number | undefined

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

  /** Writes the batches as one record, for which there is room. After a failure the next record takes its place. */
  async write(waiting: readonly Waiting[]): Promise<Group> {
    const segment = this.#active
    if (segment === undefined) throw new Error('there is no segment to write to')
    const ops = opsOf(waiting)
    const { slot, offset, ...rest } = this.#place(segment)
    const record = encodeBatch(this.#context.crc32, ops, { slot, offset, ...rest })
    const left = this.#left
    const { bytes } = record
    await this.#context.pool.use(slot, (file) => file.write(record.buffers, offset))
    this.#offset += bytes
    this.#sequence += 1
    this.#left = undefined
    return { waiting, ops: record.ops, bytes, sequence: rest.sequence, slot, end: offset + bytes, left }
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
      this.#left = previous.slot
    }
    this.#active = next
    this.#offset = FIRST_RECORD_OFFSET
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
