import { borrowBuffer, codeOf, type Digests, KiB } from '@atoll/core'
import {
  CHUNK_BYTES,
  type ChunkRun,
  checksumSeed,
  chunksAreSound,
  corrupt,
  storedBytes,
  tableBytes,
} from './checksum.ts'
import type { FilePool } from './file-pool.ts'
import type { Pointer } from './pointer.ts'
import type { DataFile, ValueLogRuntime } from './ports.ts'
import { storageError, storing } from './storage-error.ts'
import { Turns } from './turns.ts'

const READING = 'reading a value'
/** Values up to this size may be read in place: where they are in memory that takes as long as to find their keys. */
const IN_PLACE_BYTES = 16 * KiB

/** Reads large values from the log, and returns nothing that fails its checksum. */
export class ValueReader {
  readonly #crc32: Digests['crc32']
  readonly #pool: FilePool
  readonly #turns: Turns

  constructor({ digest, clock }: Pick<ValueLogRuntime, 'digest' | 'clock'>, pool: FilePool) {
    this.#crc32 = digest.crc32
    this.#pool = pool
    this.#turns = new Turns(clock)
  }

  /** The whole value, by one positioned read. */
  async read(innerKey: Uint8Array, pointer: Pointer): Promise<Uint8Array> {
    const { bytes } = await this.readRun(innerKey, pointer)
    return bytes
  }

  /** The whole value with its table, which was compared with it. */
  readRun(innerKey: Uint8Array, pointer: Pointer): ChunkRun | Promise<ChunkRun> {
    const elsewhere = () =>
      this.#storing(pointer, async (opened) => {
        const stored = borrowed(storedBytes(pointer.bytes))
        return this.#runOf(stored, await opened.read(stored, pointer.offset), innerKey, pointer)
      })
    if (pointer.bytes > IN_PLACE_BYTES) return elsewhere()
    // When it is its turn the file may be closed again.
    const inPlace = () => {
      const file = this.#pool.peek(pointer.slot)
      return file?.readSync === undefined ? elsewhere() : this.#readInPlace(file, innerKey, pointer)
    }
    return this.#turns.read({ reads: 1, inPlace, elsewhere })
  }

  /** The bytes from `start` to `end` (within the value): the chunks that they touch, and their part of the table. */
  readRange(
    innerKey: Uint8Array,
    pointer: Pointer,
    range: { start: number; end: number },
  ): Promise<Uint8Array> {
    if (range.start === range.end) return Promise.resolve(new Uint8Array(0))
    return this.#storing(pointer, async (file) => {
      const first = Math.floor(range.start / CHUNK_BYTES)
      const from = first * CHUNK_BYTES
      const to = Math.min(pointer.bytes, Math.ceil(range.end / CHUNK_BYTES) * CHUNK_BYTES)
      const bytes = Buffer.allocUnsafeSlow(to - from)
      const table = Buffer.allocUnsafe(tableBytes(bytes.length))
      const lengths = await Promise.all([
        file.read(bytes, pointer.offset + from),
        file.read(table, pointer.offset + pointer.bytes + 4 * first),
      ])
      const seed = checksumSeed(this.#crc32, innerKey, pointer.sequence)
      const whole = lengths[0] === bytes.length && lengths[1] === table.length
      if (!whole || !chunksAreSound(this.#crc32, { bytes, table, seed, first })) throw damaged(pointer)
      return bytes.subarray(range.start - from, range.end - from)
    })
  }

  /** True if the value is there without a fault. Reads it in pieces, whatever its size. */
  async isSound(innerKey: Uint8Array, pointer: Pointer): Promise<boolean> {
    try {
      for (let start = 0; start < pointer.bytes; start += CHECK_BYTES) {
        const end = Math.min(pointer.bytes, start + CHECK_BYTES)
        await this.readRange(innerKey, pointer, { start, end })
      }
      return true
    } catch (error) {
      if (isDamage(error)) return false
      throw error
    }
  }

  #readInPlace(file: DataFile, innerKey: Uint8Array, pointer: Pointer): ChunkRun {
    const stored = Buffer.allocUnsafeSlow(storedBytes(pointer.bytes))
    try {
      const length = file.readSync?.(stored, pointer.offset) ?? 0
      return this.#runOf(stored, length, innerKey, pointer)
    } catch (error) {
      throw storageError(READING, error)
    }
  }

  /** What was read, if it is all there and sound. */
  #runOf(stored: Buffer, length: number, innerKey: Uint8Array, pointer: Pointer): ChunkRun {
    const { bytes, sequence } = pointer
    const seed = checksumSeed(this.#crc32, innerKey, sequence)
    const run = { bytes: stored.subarray(0, bytes), table: stored.subarray(bytes), seed, first: 0 }
    if (length < stored.length || !chunksAreSound(this.#crc32, run)) throw damaged(pointer)
    return run
  }

  #storing<T>(pointer: Pointer, action: (file: DataFile) => Promise<T>): Promise<T> {
    return storing(READING, () => this.#pool.use(pointer.slot, action))
  }
}

/** How much of a value is checked at a time. */
const CHECK_BYTES = 16 * CHUNK_BYTES

/** A reader that is done with a large value may give its bytes back. */
function borrowed(bytes: number): Buffer {
  const buffer = borrowBuffer(bytes, (size) => Buffer.allocUnsafeSlow(size).buffer)
  return Buffer.from(buffer, 0, bytes)
}

function damaged(pointer: Pointer): Error {
  const { slot, offset } = pointer
  return corrupt(`the value at ${offset} of segment ${slot} fails its checksum`, { ...pointer })
}

export function isDamage(error: unknown): boolean {
  return codeOf(error) === 'ATOLL_CORRUPT'
}
