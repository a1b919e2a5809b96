import { wrongType } from './argument-error.ts'
import { describe } from './validate.ts'

const encoder = new TextEncoder()
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const EMPTY_BYTES: Uint8Array = new Uint8Array(0)

export function utf8(text: string): Uint8Array {
  return shortAscii(text) ?? encoder.encode(text)
}

/** Of names that come again and again. */
const names = new Map<string, Uint8Array>()
const MAX_NAMES = 1024

/** As `utf8`, of the name of a bucket type or an index, of which there are few. Nobody may change these bytes. */
export function nameBytes(name: string): Uint8Array {
  const known = names.get(name)
  if (known !== undefined) return known
  const bytes = utf8(name)
  if (names.size < MAX_NAMES) names.set(name, bytes)
  return bytes
}

const SHORT_TEXT = 32

/** Most texts are short names, which are turned into bytes four times faster by hand than by an encoder. */
function shortAscii(text: string): Uint8Array | undefined {
  if (text.length > SHORT_TEXT) return undefined
  const bytes = new Uint8Array(text.length)
  for (let at = 0; at < bytes.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= 0x80) return undefined
    bytes[at] = code
  }
  return bytes
}

/** The text of UTF-8 bytes. Throws `TypeError` if they are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return shortText(bytes) ?? strictDecoder.decode(bytes)
}

function shortText(bytes: Uint8Array): string | undefined {
  if (bytes.length > SHORT_TEXT) return undefined
  let text = ''
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0x80
    if (byte >= 0x80) return undefined
    text += String.fromCharCode(byte)
  }
  return text
}

/** The bytes as a text of as many characters, by which maps know them. */
export function keyText(bytes: Uint8Array): string {
  if (bytes.length <= MOST_ARGUMENTS) return Reflect.apply(String.fromCharCode, undefined, bytes)
  let text = ''
  for (let at = 0; at < bytes.length; at += MOST_ARGUMENTS)
    text += Reflect.apply(String.fromCharCode, undefined, bytes.subarray(at, at + MOST_ARGUMENTS))
  return text
}

/** A call takes only so many arguments. */
const MOST_ARGUMENTS = 16_384

/** Order by unsigned byte, the shorter first: the order of keys everywhere. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let at = 0; at < shared; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0
}

export function startsWithBytes(bytes: Uint8Array, prefix: Uint8Array): boolean {
  if (bytes.length < prefix.length) return false
  for (let at = 0; at < prefix.length; at++) if (bytes[at] !== prefix[at]) return false
  return true
}

/** The least bytes that are greater than all that begin with `prefix`; undefined if there are none. */
export function endOfBytes(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return undefined
  const end = prefix.slice(0, length)
  end[length - 1] = (end[length - 1] ?? 0) + 1
  return end
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

/** What a digit is worth, by its character code; -1 for what is none. */
const DIGITS = Int8Array.from({ length: 128 }, (_, code) => {
  const digit = Number.parseInt(String.fromCharCode(code), 16)
  return Number.isNaN(digit) ? -1 : digit
})

/** The bytes of an even number of hexadecimal digits. Throws `TypeError` for anything else. */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >> 1)
  // Turns negative at the first character that is no digit, and stays so.
  let signs = text.length % 2 === 0 ? 0 : -1
  for (let at = 0; at < bytes.length; at++) {
    const byte = (digitAt(text, 2 * at) << 4) | digitAt(text, 2 * at + 1)
    bytes[at] = byte
    signs |= byte
  }
  if (signs < 0) throw wrongType('text', `must be pairs of hexadecimal digits, got ${describe(text)}`)
  return bytes
}

function digitAt(text: string, at: number): number {
  return DIGITS[text.charCodeAt(at)] ?? -1
}
