import type { Digests } from '@atoll/core'
import type { FilePool } from './file-pool.ts'
import {
  RECORD_ALIGNMENT,
  RECORD_BATCH,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RECORD_SEAL,
  type RecordHeader,
  recordBytes,
} from './record.ts'
import { comesFrom, headIsSound, type Origin, readHeader } from './record-decoder.ts'

const WINDOW_BYTES = 256 * 1024

export interface FoundRecord {
  readonly header: RecordHeader
  /** The whole head, its checksum tested. Stays valid. */
  readonly head: Buffer
  readonly offset: number
  /** Where the next record would start. */
  readonly end: number
}

/**
 * Reads the heads of the records of one segment, through a window, and skips the large values between them. Where
 * whatever lies there may be met, not only what is known for a record, `origin` says which of them count.
 */
export class LogReader {
  readonly #origin: Origin | undefined
  readonly #crc32: Digests['crc32']
  readonly #pool: FilePool
  readonly #slot: number
  readonly #sizeBytes: number
  #window: Buffer = Buffer.alloc(0)
  #windowStart = 0

  constructor(
    { crc32, pool, origin }: { crc32: Digests['crc32']; pool: FilePool; origin: Origin | undefined },
    segment: { slot: number; sizeBytes: number },
  ) {
    this.#origin = origin
    this.#crc32 = crc32
    this.#pool = pool
    this.#slot = segment.slot
    this.#sizeBytes = segment.sizeBytes
  }

  /** The record at `offset`; `undefined` if there is none that is sound and lies within the segment. */
  async record(offset: number): Promise<FoundRecord | undefined> {
    const start = await this.#bytes(offset, RECORD_HEADER_BYTES)
    const header = start && readHeader(start)
    if (start === undefined || header === undefined || !this.#counts(start, offset)) return undefined
    if (header.kind !== RECORD_BATCH && header.kind !== RECORD_SEAL) return undefined
    const end = offset + recordBytes(header.metaBytes, header.bodyBytes)
    if (end > this.#sizeBytes) return undefined
    const head = await this.#bytes(offset, RECORD_HEADER_BYTES + header.metaBytes)
    if (head === undefined || !headIsSound(this.#crc32, head)) return undefined
    return { header, head, offset, end }
  }

  /**
   * True if some record behind `offset` says that the record of `sequence` was durable: then what is missing at
   * `offset` was lost by the disk, not cut off by a crash.
   */
  async provesDurable(offset: number, sequence: number): Promise<boolean> {
    for (let at = offset; at + RECORD_HEADER_BYTES <= this.#sizeBytes; at += RECORD_ALIGNMENT) {
      const candidate = await this.#nextMagic(at)
      if (candidate === undefined) return false
      at = candidate
      const header = (await this.record(candidate))?.header
      if (header !== undefined && header.sequence > sequence && header.synced >= sequence) return true
    }
    return false
  }

  #counts(start: Buffer, offset: number): boolean {
    return this.#origin === undefined || comesFrom(this.#origin, start, { slot: this.#slot, offset })
  }

  /** The next aligned place from `offset` on where a record may start. */
  async #nextMagic(offset: number): Promise<number | undefined> {
    for (let at = offset; ; ) {
      const window = await this.#windowAt(at)
      if (window === undefined) return undefined
      let within = at - this.#windowStart
      for (; within + 4 <= window.length; within += RECORD_ALIGNMENT) {
        if (window.readUInt32LE(within) === RECORD_MAGIC) return this.#windowStart + within
      }
      at = this.#windowStart + within
    }
  }

  async #bytes(offset: number, length: number): Promise<Buffer | undefined> {
    if (offset + length > this.#sizeBytes) return undefined
    if (!this.#covers(offset, length)) await this.#load(offset, Math.max(length, WINDOW_BYTES))
    if (!this.#covers(offset, length)) return undefined
    const from = offset - this.#windowStart
    return this.#window.subarray(from, from + length)
  }

  async #windowAt(offset: number): Promise<Buffer | undefined> {
    if (offset + RECORD_HEADER_BYTES > this.#sizeBytes) return undefined
    if (!this.#covers(offset, 4)) await this.#load(offset, WINDOW_BYTES)
    return this.#covers(offset, 4) ? this.#window : undefined
  }

  #covers(offset: number, length: number): boolean {
    return offset >= this.#windowStart && offset + length <= this.#windowStart + this.#window.length
  }

  async #load(offset: number, length: number): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(length, this.#sizeBytes - offset))
    const read = await this.#pool.use(this.#slot, (file) => file.read(buffer, offset))
    this.#window = buffer.subarray(0, read)
    this.#windowStart = offset
  }
}
