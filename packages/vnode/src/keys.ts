import { AtollError, EMPTY_BYTES } from '@atoll/core'

export { keyText } from '@atoll/core'

/**
 * Tuples of byte strings as one byte string of the same order (the way of FoundationDB's tuple layer): a zero byte
 * within a part becomes `00 FF`, and every part but the last ends with `00 01`. So a part sorts before its extensions,
 * and no tuple's bytes are the beginning of another's unless its parts are.
 */
const ESCAPE = 0xff
const END = 0x01
const AFTER_END = 0x02
const END_BYTES = 2

const SUBLEVEL_SEPARATOR = 0x21

export interface KeyRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

/** A key behind `head`: its parts, and the last one, which takes the rest of the key as it is. */
export function encodeKey(head: Uint8Array, parts: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  let length = head.length + last.length
  for (const part of parts) length += part.length + countZeros(part) + END_BYTES
  const key = new Uint8Array(length)
  key.set(head)
  let at = head.length
  for (const part of parts) at = writePart(key, at, part)
  key.set(last, at)
  return key
}

/** What all keys with these first parts begin with. */
export function encodePrefix(head: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  return encodeKey(head, parts, EMPTY_BYTES)
}

/** What all keys begin with of which the first part begins with `start`. */
export function encodeStart(start: Uint8Array): Uint8Array {
  const prefix = encodePrefix(EMPTY_BYTES, [start])
  return prefix.subarray(0, prefix.length - END_BYTES)
}

export interface DecodedKey {
  readonly parts: readonly Uint8Array[]
  readonly last: Uint8Array
}

/** Takes `count` parts off the front of `bytes`, and copies. Throws `ATOLL_CORRUPT` if they are not there. */
export function decodeKey(bytes: Uint8Array, count: number): DecodedKey {
  const parts: Uint8Array[] = []
  let at = 0
  for (let part = 0; part < count; part++) {
    const end = endOfPart(bytes, at)
    parts.push(withoutEscapes(copyOf(bytes, at, end)))
    at = end + END_BYTES
  }
  return { parts, last: copyOf(bytes, at, bytes.length) }
}

/** The least key that sorts after everything that begins with `prefix`, which `encodePrefix` made. */
export function endOfPrefix(prefix: Uint8Array): Uint8Array {
  const end = new Uint8Array(prefix)
  end[end.length - 1] = AFTER_END
  return end
}

/** A sublevel ends where its closing `!` would be the next character. */
export function endOfSublevel(prefix: Uint8Array): Uint8Array {
  const end = new Uint8Array(prefix)
  end[end.length - 1] = SUBLEVEL_SEPARATOR + 1
  return end
}

/** Answers where the part ends. Byte by byte: most parts are shorter than what a call of a builtin costs. */
function writePart(key: Uint8Array, start: number, part: Uint8Array): number {
  let at = start
  for (let from = 0; from < part.length; from++) {
    const byte = part[from] ?? 0
    key[at++] = byte
    if (byte === 0) key[at++] = ESCAPE
  }
  key[at++] = 0
  key[at++] = END
  return at
}

function countZeros(bytes: Uint8Array): number {
  let zeros = 0
  for (let at = 0; at < bytes.length; at++) if (bytes[at] === 0) zeros++
  return zeros
}

function endOfPart(bytes: Uint8Array, start: number): number {
  for (let at = bytes.indexOf(0, start); at >= 0; at = bytes.indexOf(0, at + 2)) {
    const next = bytes[at + 1]
    if (next === END) return at
    if (next !== ESCAPE) break
  }
  throw new AtollError('ATOLL_CORRUPT', 'a stored key cannot be taken apart')
}

function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end))
}

function withoutEscapes(escaped: Uint8Array): Uint8Array {
  const zeros = countZeros(escaped)
  if (zeros === 0) return escaped
  const part = new Uint8Array(escaped.length - zeros)
  let at = 0
  for (let from = 0; from < escaped.length; from++) {
    const byte = escaped[from] ?? 0
    part[at++] = byte
    if (byte === 0) from++
  }
  return part
}
