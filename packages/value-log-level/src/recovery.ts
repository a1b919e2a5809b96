import type { Digests } from '@atoll/core'
import type { Applier } from './applier.ts'
import type { LogPosition } from './checkpoint.ts'
import { corrupt } from './checksum.ts'
import type { FilePool } from './file-pool.ts'
import { type FoundRecord, LogReader } from './log-reader.ts'
import type { LoggedOp } from './operation.ts'
import { RECORD_SEAL } from './record.ts'
import { type Origin, readNextSlot, readOps } from './record-decoder.ts'
import type { Segment } from './segment.ts'
import { FIRST_RECORD_OFFSET } from './segment-file.ts'
import type { Segments } from './segments.ts'
import type { ValueReader } from './value-reader.ts'

export interface RecoveryContext {
  readonly crc32: Digests['crc32']
  readonly pool: FilePool
  readonly segments: Segments
  readonly applier: Applier
  readonly values: ValueReader
  /** Who wrote what may be found behind the checkpoint. */
  readonly origin: Origin
}

/** How many operations are applied at a time, about. */
const APPLY_OPS = 2048

/**
 * Brings the inner database up to the end of the log: every record behind the checkpoint is applied once more, in
 * order, until one is missing or torn. That is where the log was cut by a crash, unless the broken one is known to have
 * been durable: because it was applied once, or because a later record says so. Then it was lost by the disk, and
 * opening fails with `ATOLL_CORRUPT`. Only what the last opening of this log wrote at this place is a record: not bytes
 * of a value, whatever they look like. A large value that the disk has lost does not keep the log from opening; reading
 * it fails.
 */
export class Recovery {
  readonly #context: RecoveryContext
  readonly #pending: LoggedOp[] = []
  #reader: LogReader
  #segment: Segment
  #position: LogPosition
  #lastApplied = 0
  /** Records found behind the checkpoint. */
  records = 0

  constructor(context: RecoveryContext, start: { position: LogPosition; segment: Segment }) {
    this.#context = context
    this.#position = start.position
    this.#segment = start.segment
    this.#reader = this.#readerOf(start.segment)
  }

  /** Returns where the log ends. */
  async run(): Promise<LogPosition> {
    this.#lastApplied = await this.#context.applier.lastApplied()
    await this.#enter(this.#segment)
    for (let record = await this.#next(); record !== undefined; record = await this.#next()) {
      this.records += 1
      if (record.header.kind === RECORD_SEAL) await this.#follow(record)
      else await this.#take(record)
    }
    await this.#apply()
    return this.#position
  }

  /** What is read from here on must be durable before it reaches the inner database. */
  async #enter(segment: Segment): Promise<void> {
    segment.state = 'active'
    await this.#context.pool.use(segment.slot, (file) => file.sync())
  }

  async #next(): Promise<FoundRecord | undefined> {
    const { offset, sequence } = this.#position
    const record = await this.#reader.record(offset)
    if (record?.header.sequence === sequence) {
      if (record.header.kind === RECORD_SEAL) return (await this.#leads(record)) ? record : undefined
      if (await this.#isWhole(record)) return record
      // The head is there, and so was the value once: whoever reads it hears of the damage.
      if (sequence <= this.#lastApplied) return record
      if (await this.#reader.provesDurable(record.end, sequence)) return record
    } else if (await this.#wasDurable()) {
      const { slot } = this.#segment
      throw corrupt(`the log has lost a record at ${offset} of segment ${slot}`, { slot, offset, sequence })
    }
    return undefined
  }

  /**
   * Whether the log goes on behind a seal. It does not if the seal was written as the last thing, though that was told as
   * failed: then nothing has come into the next segment, and that may be gone.
   */
  async #leads(seal: FoundRecord): Promise<boolean> {
    if (this.#nextSegment(seal) !== undefined) return true
    if (!(await this.#wasDurable())) return false
    const next = readNextSlot(seal.head)
    const { slot, offset, sequence } = this.#position
    const message = `the log goes on in segment ${next}, which is missing or has lost its beginning`
    throw corrupt(message, { slot, offset, sequence, next })
  }

  async #isWhole(record: FoundRecord): Promise<boolean> {
    for (const { key, pointer } of this.#opsOf(record)) {
      if (pointer !== undefined && !(await this.#context.values.isSound(key, pointer))) return false
    }
    return true
  }

  /** Looks for proof in the inner database, in the rest of this segment, and in those that begin behind it. */
  async #wasDurable(): Promise<boolean> {
    const { offset, sequence } = this.#position
    if (sequence <= this.#lastApplied) return true
    if (await this.#reader.provesDurable(offset, sequence)) return true
    for (const segment of this.#context.segments.all()) {
      // What was full at the checkpoint holds nothing younger.
      if (segment.state !== 'free') continue
      const reader = this.#readerOf(segment)
      const first = await reader.record(FIRST_RECORD_OFFSET)
      if (first === undefined || first.header.sequence <= sequence) continue
      // The first record becomes durable with the seal before it: if that is what is missing, it is a later one that knows.
      if (await reader.provesDurable(FIRST_RECORD_OFFSET, sequence)) return true
    }
    return false
  }

  async #take(record: FoundRecord): Promise<void> {
    const ops = this.#opsOf(record)
    this.#pending.push(...ops)
    this.#position = {
      slot: this.#segment.slot,
      offset: record.end,
      sequence: record.header.sequence + 1,
      lastOffset: record.offset,
    }
    if (this.#pending.length >= APPLY_OPS) await this.#apply()
  }

  async #follow(record: FoundRecord): Promise<void> {
    const next = this.#nextSegment(record)
    if (next === undefined) return
    await this.#apply()
    this.#context.segments.finish(this.#segment, this.#position.offset)
    this.#segment = next
    this.#reader = this.#readerOf(next)
    const sequence = record.header.sequence + 1
    this.#position = { slot: next.slot, offset: FIRST_RECORD_OFFSET, sequence, lastOffset: 0 }
    await this.#enter(next)
  }

  async #apply(): Promise<void> {
    await this.#context.applier.apply(this.#pending.splice(0), this.#position.sequence - 1)
  }

  #nextSegment({ head }: FoundRecord): Segment | undefined {
    return this.#context.segments.get(readNextSlot(head))
  }

  #opsOf({ head, header, offset }: FoundRecord): LoggedOp[] {
    return readOps(head, header, { slot: this.#segment.slot, offset })
  }

  #readerOf(segment: Segment): LogReader {
    return new LogReader(this.#context, segment)
  }
}
