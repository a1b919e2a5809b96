import {
  AtollError,
  isArgumentError,
  isAtollError,
  isAtollErrorCode,
  messageOf,
  type TupleReader,
  type TupleValue,
  wellFormed,
} from '@atoll/core'

const MAX_MESSAGE_CHARACTERS = 1024
const MAX_DETAILS = 16
const MAX_DETAIL_CHARACTERS = 256

/**
 * How an error crosses: its code, message, verdicts, and the details that are plain values. The cause stays at home. Its
 * texts may be those of anybody, such as of a user's merge function, and are cut: whatever they are, the caller hears of
 * it.
 */
export function errorFields(error: AtollError): readonly TupleValue[] {
  const details: TupleValue[] = []
  for (const [name, value] of Object.entries(error.details)) {
    if (details.length < MAX_DETAILS && isPlain(name) && isPlain(value))
      details.push([wellFormed(name), typeof value, typeof value === 'string' ? wellFormed(value) : value])
  }
  return [
    error.code,
    wellFormed(error.message.slice(0, MAX_MESSAGE_CHARACTERS)),
    error.definite,
    error.transient,
    details,
  ]
}

/** The error that a peer sent. A code that this program does not know becomes `ATOLL_STORAGE`. */
export function decodeError(reader: TupleReader): AtollError {
  const code = reader.string()
  const message = reader.string()
  const [definite, transient] = [reader.boolean(), reader.boolean()]
  const details = Object.fromEntries(reader.list(readDetail, MAX_DETAILS))
  if (isAtollErrorCode(code)) return new AtollError(code, message, { definite, transient, details })
  return new AtollError('ATOLL_STORAGE', `${code}: ${message}`, { definite, transient, details })
}

/** True for what a handler throws on purpose. */
export function isForeseen(error: unknown): boolean {
  return isAtollError(error) || isArgumentError(error)
}

/**
 * What is told to the peer about anything that was thrown here. A wrong argument is the peer's fault: nodes check what their
 * users say before they ask each other.
 */
export function asAtollError(error: unknown, where: string): AtollError {
  if (isAtollError(error)) return error
  if (isArgumentError(error)) {
    const message = `${where} was sent an invalid request: ${error.message}`
    return new AtollError('ATOLL_PROTOCOL', message, { cause: error, details: error.details })
  }
  const message = `internal error in ${where}: ${messageOf(error)}`
  return new AtollError('ATOLL_STORAGE', message, { cause: error, definite: false })
}

function isPlain(value: unknown): value is string | number | boolean {
  if (typeof value === 'string') return value.length <= MAX_DETAIL_CHARACTERS
  return typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
}

/** A detail is its name, its type and its value, since a reader must know what it reads. */
function readDetail(reader: TupleReader): [string, string | number | boolean] {
  const detail = reader.tuple()
  const [name, type] = [detail.string(), detail.string()]
  if (type === 'string') return [name, detail.string()]
  return [name, type === 'number' ? detail.number() : detail.boolean()]
}
