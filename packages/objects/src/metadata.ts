import { checkWellFormed, describe, utf8, wrongRange, wrongType } from '@atoll/core'
import { isIterable } from './body-chunks.ts'

/**
 * Names and values of an object's own: a plain object, or what gives pairs of a name and a value, such as a `Map`,
 * `Headers` or an array of pairs. A name is an HTTP token, and is there once; a value is text without control characters
 * but tabs. So each can be a header; a value beyond ASCII is stored as it is, and must be encoded by whoever sends it as
 * one. The bytes of all of them together are bounded by `maxMetadataBytes`.
 */
export type ObjectMetadata = Readonly<Record<string, string>> | Iterable<readonly [string, string]>

type Pair = readonly [name: string, value: string]

const MAX_CONTENT_TYPE = 256

/** A token of RFC 9110, section 5.6.2: what the name of a header may be. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** CR, LF, NUL and their like end a header or break it; a tab is white space in it. */
const CONTROL = /(?!\t)\p{Cc}/u

/** Throws `TypeError` or `RangeError`, naming what is wrong. */
export function checkMetadata(metadata: unknown, maxBytes: number): readonly Pair[] {
  const pairs = new Map<string, string>()
  let bytes = 0
  for (const given of pairsOf(metadata)) {
    const [name, value] = checkPair(given)
    if (pairs.has(name)) throw wrongRange('metadata', `must have each name once, got ${describe(name)} twice`)
    bytes += utf8(name).length + utf8(value).length
    if (bytes > maxBytes)
      throw wrongRange(
        'metadata',
        `must have at most ${maxBytes} bytes, it has ${bytes} up to ${describe(name)}`,
      )
    pairs.set(name, value)
  }
  return [...pairs]
}

export function checkContentType(contentType: unknown): string {
  const text = checkPrintable('contentType', checkString('contentType', contentType, MAX_CONTENT_TYPE))
  if (text === '') throw wrongRange('contentType', 'must have at least one character, got ""')
  return text
}

export function checkString(name: string, text: unknown, maxLength = 4096): string {
  if (typeof text !== 'string') throw wrongType(name, `must be a string, got ${describe(text)}`)
  if (text.length > maxLength)
    throw wrongRange(name, `must have at most ${maxLength} characters, it has ${text.length}`)
  return checkWellFormed(name, text)
}

function pairsOf(metadata: unknown): Iterable<unknown> {
  if (typeof metadata === 'object' && metadata !== null) {
    if (isIterable(metadata)) return metadata
    const prototype: unknown = Object.getPrototypeOf(metadata)
    // An object of another realm has another `Object.prototype`, which has no prototype either.
    const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null
    if (isPlain) return Object.entries(metadata)
  }
  throw wrongType(
    'metadata',
    `must be an object of strings, a Map, Headers or pairs of a name and a value, got ${describe(metadata)}`,
  )
}

function checkPair(pair: unknown): Pair {
  if (!Array.isArray(pair) || pair.length !== 2)
    throw wrongType('metadata', `must consist of pairs of a name and a value, got ${describe(pair)} as one`)
  const [name, value]: readonly unknown[] = pair
  if (typeof name !== 'string')
    throw wrongType('metadata', `must have strings as names, got ${describe(name)}`)
  if (!TOKEN.test(name))
    throw wrongRange(
      'metadata',
      `must have names of letters, digits and !#$%&'*+-.^_\`|~, got ${describe(name)}`,
    )
  if (typeof value !== 'string')
    throw wrongType(`metadata.${name}`, `must be a string, got ${describe(value)}`)
  return [name, checkPrintable(`metadata.${name}`, checkWellFormed(`metadata.${name}`, value))]
}

function checkPrintable(name: string, text: string): string {
  if (CONTROL.test(text)) throw wrongRange(name, `must have no control characters, got ${describe(text)}`)
  return text
}
