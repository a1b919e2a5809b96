import { KiB, MiB } from './units.ts'

/** Smaller arrays cost less to make than to keep. */
const LEAST_BYTES = 32 * KiB
/** How much is kept of what nobody uses at the moment. */
const MAX_IDLE_BYTES = 32 * MiB
/** Larger ones are not kept. */
const MAX_BUFFER_BYTES = MAX_IDLE_BYTES / 4
/** Arrays are longer than asked for by less than this share, so that records of almost the same length can share them. */
const SIZES_PER_DOUBLING = 16

/** How the arrays of this process are lent. */
const rules = { leastBytes: LEAST_BYTES, poisons: false }
/** What is returned is overwritten with this where that is to show who still looks at it. */
const POISON = 0xdd

/** Of this process, the last one to come back at the end. */
const idle: ArrayBuffer[] = []
let idleBytes = 0
/** Those that are lent, and that nobody has kept. */
const lent = new WeakSet<ArrayBufferLike>()

/**
 * An array of at least so many bytes, with anything in them. Whoever is the only one to have it may return it by
 * `returnBuffer` when it is not needed any more; otherwise it is collected like any other. V8 counts the bytes of
 * arrays that lie outside of its heap, and collects all of it for every 35 to 65 MiB of new ones; those that come back
 * cost nothing.
 */
export function borrowBuffer(
  bytes: number,
  allocate: (bytes: number) => ArrayBuffer = (size) => new ArrayBuffer(size),
): ArrayBuffer {
  if (bytes < rules.leastBytes || bytes > MAX_BUFFER_BYTES) return allocate(bytes)
  const size = sizeFor(bytes)
  const buffer = takeIdle(size) ?? allocate(size)
  lent.add(buffer)
  return buffer
}

/** A copy of bytes, in an array that is lent if it is large: to be returned, or not, as of `borrowBuffer`. */
export function borrowedCopy(bytes: Uint8Array): Uint8Array {
  if (bytes.length < rules.leastBytes) return new Uint8Array(bytes)
  const copy = new Uint8Array(borrowBuffer(bytes.length), 0, bytes.length)
  copy.set(bytes)
  return copy
}

/**
 * Gives back the array behind these bytes. Nobody may look at it any more: it will be written. What was not lent, or is
 * back already, or was kept, stays as it is.
 */
export function returnBuffer(bytes: Uint8Array): void {
  const { buffer } = bytes
  // A buffer that was transferred to another thread has no bytes any more.
  if (!lent.delete(buffer) || !(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) return
  if (rules.poisons) new Uint8Array(buffer).fill(POISON)
  idle.push(buffer)
  idleBytes += buffer.byteLength
  while (idleBytes > MAX_IDLE_BYTES) idleBytes -= idle.shift()?.byteLength ?? 0
}

/** Whoever hands bytes on to somebody that goes on using them says so: then nobody's return makes them free. */
export function keepBuffer(bytes: Uint8Array): void {
  lent.delete(bytes.buffer)
}

/**
 * For tests, which show by it that nobody looks at what is returned: from now on arrays of any size are lent, and each is
 * overwritten as soon as it is back.
 */
export function poisonReturned(): void {
  rules.leastBytes = 1
  rules.poisons = true
}

function sizeFor(bytes: number): number {
  const step = 2 ** Math.floor(Math.log2(bytes)) / SIZES_PER_DOUBLING
  return Math.ceil(bytes / step) * step
}

function takeIdle(size: number): ArrayBuffer | undefined {
  const at = idle.findLastIndex(({ byteLength }) => byteLength === size)
  if (at < 0) return undefined
  const [buffer] = idle.splice(at, 1)
  idleBytes -= size
  return buffer
}
