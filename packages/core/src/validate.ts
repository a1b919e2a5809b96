import { marked, wrongRange, wrongType } from './argument-error.ts'
import { isBytes, isPromise } from './realms.ts'
import { MAX_DELAY_MS } from './units.ts'

export interface IntegerLimits {
  readonly min: number
  readonly max: number
}

/** Returns `value` if it is an integer within the limits; else throws, naming the option, the value and the limits. */
export function checkInteger(name: string, value: unknown, limits: IntegerLimits): number {
  if (typeof value !== 'number') throw wrongType(name, `must be a number, got ${describe(value)}`)
  if (!Number.isInteger(value) || value < limits.min || value > limits.max) {
    throw wrongRange(name, `must be an integer from ${limits.min} to ${limits.max}, got ${value}`)
  }
  return value
}

/** Returns `delayMs` if a timer can keep it; a negative one is over at once. Throws `RangeError` beyond 2^31 - 1 ms. */
export function checkDelay(delayMs: number): number {
  if (delayMs <= MAX_DELAY_MS) return delayMs
  throw wrongRange('delayMs', `must be a number of at most ${MAX_DELAY_MS}, got ${delayMs}`)
}

/**
 * Returns `value` if it is a string of the form, and well-formed; else throws, naming the option, the value and what was
 * expected.
 */
export function checkText(name: string, value: unknown, form: RegExp, expected: string): string {
  if (typeof value !== 'string') throw wrongType(name, `must be a string, got ${describe(value)}`)
  if (!form.test(value)) throw wrongRange(name, `must be ${expected}, got ${describe(value)}`)
  return checkWellFormed(name, value)
}

const LONE_SURROGATE = /\p{Surrogate}/u

/** False for text with half of a surrogate pair, which no UTF-8 stands for. */
export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text)
}

const LONE_SURROGATES = /\p{Surrogate}/gu

/** The same text, with U+FFFD for what has no form in UTF-8, such as half of a character where the text was cut. */
export function wellFormed(text: string): string {
  return text.replace(LONE_SURROGATES, '\ufffd')
}

/** Returns `text` if every character of it has a form in UTF-8; else throws `RangeError`. */
export function checkWellFormed(name: string, text: string): string {
  if (!isWellFormed(text))
    throw wrongRange(name, `must be well-formed Unicode, ${describe(text)} has half of a character`)
  return text
}

const NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,64}$/
const NAME_FORM = '1 to 64 characters of a-z A-Z 0-9 . _ - but not . or ..'

/** Whether nodes, zones, clusters and the like can have that name: it is also that of a directory. */
export function isName(text: string): boolean {
  return NAME.test(text)
}

/** Returns `value` if it is a name; else throws, naming the option, the value and what was expected. */
export function checkName(option: string, value: unknown): string {
  return checkText(option, value, NAME, NAME_FORM)
}

/** Returns `value` if it is bytes of a length within the limits. */
export function checkBytes(name: string, value: unknown, limits: IntegerLimits): Uint8Array {
  if (!isBytes(value)) throw wrongType(name, `must be a Uint8Array, got ${describe(value)}`)
  if (value.length < limits.min || value.length > limits.max) {
    throw wrongRange(name, `must have ${limits.min} to ${limits.max} bytes, got ${value.length}`)
  }
  return value
}

/** Returns `value` if it is true or false. */
export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw wrongType(name, `must be a boolean, got ${describe(value)}`)
  return value
}

/** Throws `TypeError` unless `value` has all of these methods, by its class or by itself; names the first that it lacks. */
export function checkMethods(name: string, value: unknown, methods: readonly string[]): void {
  const needed = `${methods.length === 1 ? 'the method' : 'the methods'} ${methods.join(', ')}`
  const mayHaveSome = typeof value === 'function' || (typeof value === 'object' && value !== null)
  if (!mayHaveSome) throw wrongType(name, `must be an object with ${needed}, got ${describe(value)}`)
  for (const method of methods) {
    const found: unknown = Reflect.get(value, method)
    if (typeof found !== 'function')
      throw wrongType(
        `${name}.${method}`,
        `must be a method (${name} needs ${needed}), got ${describe(found)}`,
      )
  }
}

/** Returns `value` if it is an object that has options as its keys may have: no array, map, bytes, date or promise. */
export function checkObject(name: string, value: unknown): object {
  if (typeof value !== 'object' || value === null || TAG.call(value) !== '[object Object]')
    throw wrongType(name, `must be an object, got ${describe(value)}`)
  return value
}

/** What the language and the platform make says so by its tag: a `Date`, a `Map`, a promise that nobody awaited. */
const TAG: () => string = Object.prototype.toString

/**
 * Throws `TypeError` if `options` is no object, or has a key that is not in `known`: a misspelt option must not be ignored.
 * `name` is what the options belong to, such as "openNode" or "put".
 */
export function checkKnown(name: string, options: unknown, known: readonly string[]): void {
  for (const key of Object.keys(checkObject(`options of ${name}`, options))) {
    if (!known.includes(key)) {
      const problem = `${name} has no option "${key}"; it knows ${known.join(', ')}`
      throw marked(new TypeError(problem), key)
    }
  }
}

/** Throws `TypeError` unless `given` is a function or undefined. */
export function checkFunction(name: string, given: unknown): void {
  if (given !== undefined && typeof given !== 'function')
    throw wrongType(name, `must be a function, got ${describe(given)}`)
}

/** Throws `TypeError` unless `signal` is an `AbortSignal`, of whatever realm, or undefined. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || isLikeSignal(Object(signal))) return
  throw wrongType('signal', `must be an AbortSignal, got ${describe(signal)}`)
}

function isLikeSignal({ aborted, addEventListener, removeEventListener }: Partial<AbortSignal>): boolean {
  return (
    [typeof aborted, typeof addEventListener, typeof removeEventListener].join() ===
    'boolean,function,function'
  )
}

/** With the tag of what has one, such as a Blob or a Map. */
function objectText(value: object): string {
  const tag = TAG.call(value).slice('[object '.length, -1)
  return tag === 'Object' ? 'an object' : `an object (${tag})`
}

/** A short picture of any value, for messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 80 ? `"${value.slice(0, 77)}…" (${value.length} characters)` : `"${value}"`
  if (isBytes(value)) return `${value.length} bytes`
  if (typeof value === 'function') return 'a function'
  if (isPromise(value)) return 'a promise'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return objectText(value)
  if (typeof value === 'bigint') return `${value}n`
  return String(value)
}
