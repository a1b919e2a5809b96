import { AtollError, combineCrc32, type Digests, leadingCrc32, PIECE_BYTES, piecesOf } from '@atoll/core'

/** Values are checked in chunks of this size, so that a range of one can be checked without the rest. Part of the format. */
export const CHUNK_BYTES = 64 * 1024

type Crc32 = Digests['crc32']

/** Bytes of the table of checksums that follows a value in the log: four for each chunk. */
export function tableBytes(valueBytes: number): number {
  return 4 * Math.ceil(valueBytes / CHUNK_BYTES)
}

/** What a value takes in the log: its bytes and their table. */
export function storedBytes(valueBytes: number): number {
  return valueBytes + tableBytes(valueBytes)
}

/**
 * Where the checksums of one value start from. It depends on the key and on the sequence of the record, so that
 * bytes of another key or of another time never pass.
 */
export function checksumSeed(crc32: Crc32, key: Uint8Array, sequence: number): number {
  return (crc32(key) + Math.imul(sequence % 0x1_0000_0000, 0x9e3779b1)) >>> 0
}

/** Writes the table of `value` to `target` at `at`. */
export function writeTable(
  crc32: Crc32,
  value: Uint8Array,
  table: { seed: number; target: Buffer; at: number },
): void {
  for (let index = 0, from = 0; from < value.length; index++, from += CHUNK_BYTES) {
    const sum = crc32(value.subarray(from, from + CHUNK_BYTES), chunkSeed(table.seed, index))
    table.target.writeUInt32LE(sum, table.at + 4 * index)
  }
}

/** A value in two parts: `head`, shorter than a chunk, and the rest. */
export interface TwoParts {
  readonly head: Uint8Array
  readonly tail: Uint8Array
  /** The plain CRC-32 of the tail, if the caller knows it. */
  readonly tailCrc32: number | undefined
}

/** Plain sums of stretches of a tail: the first stretch fills the chunk that the head begins, the others are chunks. */
interface StretchSums {
  readonly firstBytes: number
  readonly sums: readonly number[]
  /** Of all stretches together. */
  readonly whole: number
}

/** The size of a chunk is part of a format, that of a piece may change. */
const PIECES_ARE_CHUNKS: boolean = PIECE_BYTES === CHUNK_BYTES

/** Nodes of one process write the same bytes to a log each: these are read once for all of them. */
const stretchSums = new WeakMap<Uint8Array, StretchSums>()

/** Writes the table of a value in two parts. */
export function writeTableOfTwo(
  crc32: Crc32,
  parts: TwoParts,
  table: { seed: number; target: Buffer; at: number },
): void {
  const { firstBytes, sums } = sumsOfTail(crc32, parts)
  let from = 0
  sums.forEach((sum, index) => {
    const end = Math.min(parts.tail.length, firstBytes + index * CHUNK_BYTES)
    const seed = chunkSeed(table.seed, index)
    const before = index === 0 ? crc32(parts.head, seed) : seed
    table.target.writeUInt32LE(combineCrc32(before, sum, end - from), table.at + 4 * index)
    from = end
  })
}

/** What is remembered counts only if it adds up to what the caller expects: the bytes may be others by now. */
function sumsOfTail(crc32: Crc32, { head, tail, tailCrc32 }: TwoParts): StretchSums {
  const firstBytes = CHUNK_BYTES - head.length
  const known = stretchSums.get(tail)
  if (known?.firstBytes === firstBytes && known.whole === tailCrc32) return known
  const pieces = piecesOf(tail)
  const found =
    PIECES_ARE_CHUNKS && pieces !== undefined && pieces.whole === tailCrc32
      ? { firstBytes, sums: shifted(crc32, tail, { pieces: pieces.pieces, firstBytes }), whole: pieces.whole }
      : summed(crc32, tail, firstBytes)
  stretchSums.set(tail, found)
  return found
}

function summed(crc32: Crc32, tail: Uint8Array, firstBytes: number): StretchSums {
  const sums: number[] = []
  let whole = 0
  for (let from = 0, end = firstBytes; from < tail.length; from = end, end += CHUNK_BYTES) {
    const stretch = tail.subarray(from, end)
    const sum = crc32(stretch)
    sums.push(sum)
    whole = combineCrc32(whole, sum, stretch.length)
  }
  return { firstBytes, sums, whole }
}

/**
 * The sums of stretches that lie across pieces of which the sums are known. A piece is cut where a stretch ends: the short
 * end of it is read, and what comes before that follows from the two.
 */
function shifted(
  crc32: Crc32,
  tail: Uint8Array,
  { pieces, firstBytes }: { readonly pieces: readonly number[]; readonly firstBytes: number },
): readonly number[] {
  const sums: number[] = []
  /** The end of the piece before, with which the stretch begins. */
  let before = 0
  for (const [index, piece] of pieces.entries()) {
    const from = index * CHUNK_BYTES
    const end = tail.subarray(from + firstBytes, from + CHUNK_BYTES)
    const length = Math.min(firstBytes, tail.length - from)
    const sumOfEnd = end.length === 0 ? 0 : crc32(end)
    const begin = end.length === 0 ? piece : leadingCrc32(piece, sumOfEnd, end.length)
    sums.push(combineCrc32(before, begin, length))
    before = sumOfEnd
    if (from + CHUNK_BYTES >= tail.length && end.length > 0) sums.push(sumOfEnd)
  }
  return sums
}

/** Bytes that start at a chunk, with what they must sum up to. */
export interface ChunkRun {
  readonly bytes: Uint8Array
  readonly table: Buffer
  readonly seed: number
  /** Which chunk of the value the bytes start with. */
  readonly first: number
}

/** True if every chunk of the run has its checksum. */
export function chunksAreSound(crc32: Crc32, run: ChunkRun): boolean {
  for (let index = 0, from = 0; from < run.bytes.length; index++, from += CHUNK_BYTES) {
    const sum = crc32(run.bytes.subarray(from, from + CHUNK_BYTES), chunkSeed(run.seed, run.first + index))
    if (sum !== run.table.readUInt32LE(4 * index)) return false
  }
  return true
}

/** The plain CRC-32 of all bytes of a sound run, by its table: a few microseconds instead of reading them once more. */
export function plainSum(run: ChunkRun): number {
  let sum = 0
  for (let index = 0, from = 0; from < run.bytes.length; index++, from += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, run.bytes.length - from)
    // What a seed has done to a checksum is undone by putting it in front, since sums are linear.
    const before = (sum ^ chunkSeed(run.seed, run.first + index)) >>> 0
    sum = combineCrc32(before, run.table.readUInt32LE(4 * index), length)
  }
  return sum
}

export function corrupt(what: string, details: Readonly<Record<string, unknown>>): AtollError {
  return new AtollError('ATOLL_CORRUPT', what, { details })
}

function chunkSeed(seed: number, index: number): number {
  return (seed + Math.imul(index + 1, 0x85ebca6b)) >>> 0
}
