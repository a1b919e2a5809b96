import { wrongRange } from './argument-error.ts'
import { codeOf, isError } from './realms.ts'
import { checkObject, describe } from './validate.ts'

/**
 * Every code that Atoll throws. `ATOLL_INVALID_ARGUMENT` is that of an `ArgumentError`, all others are those of an
 * `AtollError`. A code exists only if some caller would act on it; the text of a message is free
 * to change, a code is not.
 *
 * - `definite`: what was asked for certainly did not happen.
 * - `transient`: the same call may succeed later, with nothing changed by the caller.
 */
export const ERROR_CODES = {
  ATOLL_ABORTED: { definite: false, transient: false, meaning: 'the caller aborted the call' },
  ATOLL_BUCKET_EXISTS: { definite: true, transient: false, meaning: 'a bucket of this name exists already' },
  ATOLL_BUCKET_NOT_EMPTY: { definite: true, transient: false, meaning: 'the bucket still holds objects' },
  ATOLL_BUCKET_NOT_FOUND: { definite: true, transient: false, meaning: 'there is no bucket of this name' },
  ATOLL_CHANGE_REFUSED: {
    definite: true,
    transient: false,
    meaning: 'the cluster as it is does not allow the change',
  },
  ATOLL_CLOCK: { definite: true, transient: true, meaning: 'the wall clock of this machine cannot be right' },
  ATOLL_CLOSED: { definite: true, transient: false, meaning: 'the component is closed or was never opened' },
  ATOLL_CORRUPT: { definite: true, transient: false, meaning: 'stored or received bytes fail their check' },
  ATOLL_DISK_FULL: { definite: false, transient: true, meaning: 'the disk below has no room; make some' },
  ATOLL_FORKED: {
    definite: true,
    transient: false,
    meaning:
      'the cluster has two histories that contradict each other; an operator has to say which one counts',
  },
  ATOLL_FORMAT: {
    definite: true,
    transient: false,
    meaning: 'data of another program, cluster or newer format',
  },
  ATOLL_INCOMPLETE_BODY: {
    definite: true,
    transient: false,
    meaning: 'the body failed or ended before all of it was there',
  },
  ATOLL_INVALID_ARGUMENT: {
    definite: true,
    transient: false,
    meaning: 'an argument has a wrong type or value; nothing was done',
  },
  ATOLL_INVALID_BODY: {
    definite: true,
    transient: false,
    meaning: 'the body is not what was announced, or no bytes, or was read before',
  },
  ATOLL_LOCKED: { definite: true, transient: true, meaning: 'the directory or address is in use' },
  ATOLL_OBJECT_NOT_FOUND: { definite: true, transient: false, meaning: 'there is no object of this key' },
  ATOLL_OVERLOADED: { definite: true, transient: true, meaning: 'a limit was reached; slow down and retry' },
  ATOLL_PROTOCOL: {
    definite: true,
    transient: false,
    meaning: 'a peer broke the protocol or speaks another version',
  },
  ATOLL_QUORUM_IMPOSSIBLE: {
    definite: true,
    transient: true,
    meaning: 'too few replicas are reachable to begin',
  },
  ATOLL_QUORUM_UNMET: {
    definite: false,
    transient: true,
    meaning: 'fewer replicas answered than were asked for',
  },
  ATOLL_RANGE: { definite: true, transient: false, meaning: 'the byte range lies outside the object' },
  ATOLL_STALE_PLAN: {
    definite: true,
    transient: false,
    meaning: 'the cluster changed since the plan was made; plan again',
  },
  ATOLL_STORAGE: { definite: false, transient: false, meaning: 'the database below failed' },
  ATOLL_STORE_UNSUPPORTED: {
    definite: true,
    transient: false,
    meaning: 'the database lacks a needed feature',
  },
  ATOLL_TIMEOUT: { definite: false, transient: true, meaning: 'no answer in time; the outcome is unknown' },
  ATOLL_TOO_LARGE: { definite: true, transient: false, meaning: 'a value is over its limit' },
  ATOLL_UNAUTHORIZED: {
    definite: true,
    transient: false,
    meaning: 'a node did not prove that it is who it says',
  },
  ATOLL_UNREACHABLE: { definite: true, transient: true, meaning: 'a node cannot be reached' },
} as const

export type ErrorCode = keyof typeof ERROR_CODES
/** The codes of an `AtollError`: all but that of an `ArgumentError`. */
export type AtollErrorCode = Exclude<ErrorCode, 'ATOLL_INVALID_ARGUMENT'>

export interface AtollErrorOptions {
  /** What caused this one. */
  readonly cause?: unknown
  /** Overrides the usual `definite` of the code, where this one case is known better. */
  readonly definite?: boolean
  /** Overrides the usual `transient` of the code. */
  readonly transient?: boolean
  /** Facts about the case, for programs: counts, sizes, names. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** The same in every copy of this package that a process has loaded. */
const BRAND: unique symbol = Symbol.for('@atoll/core AtollError')

/** The one error class of Atoll. A wrong argument is a `TypeError` or `RangeError` instead: see `isArgumentError`. */
export class AtollError extends Error {
  override readonly name = 'AtollError'
  readonly code: AtollErrorCode
  readonly definite: boolean
  readonly transient: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: AtollErrorCode, message: string, options: AtollErrorOptions = {}) {
    checkObject('options', options)
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    if (!isAtollErrorCode(code))
      throw wrongRange('code', `must be a code of an AtollError, got ${describe(code)}`)
    this.code = code
    this.definite = options.definite ?? ERROR_CODES[code].definite
    this.transient = options.transient ?? ERROR_CODES[code].transient
    this.details = options.details ?? {}
  }

  get [BRAND](): true {
    return true
  }

  /** What `JSON.stringify` and structured logs print. A cause is printed in the same way, at most 8 deep. */
  toJSON(): ErrorFacts {
    return factsOf(this, MAX_CAUSES)
  }
}

/** An error as plain data. */
export interface ErrorFacts {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly definite?: boolean
  readonly transient?: boolean
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

const MAX_CAUSES = 8

/** Any error as plain data; what is no error stays what it is. */
function factsOf(error: Error, causes: number): ErrorFacts {
  const { name, message, cause } = error
  const known = isAtollError(error)
    ? { code: error.code, definite: error.definite, transient: error.transient, details: error.details }
    : codeFacts(error)
  if (cause === undefined || causes === 0) return { name, message, ...known }
  return { name, message, ...known, cause: isError(cause) ? factsOf(cause, causes - 1) : cause }
}

/** The code of an error of Node or of a library. */
function codeFacts(error: Error): { readonly code?: string } {
  const code = codeOf(error)
  return typeof code === 'string' ? { code } : {}
}

/**
 * True for an `AtollError`, and with a code given only for an error of that code. It holds for errors of another copy of
 * this package as well, which `instanceof` does not know.
 */
export function isAtollError(error: unknown, code?: AtollErrorCode): error is AtollError {
  return isError(error) && BRAND in error && (code === undefined || codeOf(error) === code)
}

/** True if `text` is the code of an `AtollError`: what a peer sends as a code is checked before it is believed. */
export function isAtollErrorCode(text: string): text is AtollErrorCode {
  return typeof text === 'string' && Object.hasOwn(ERROR_CODES, text) && text !== 'ATOLL_INVALID_ARGUMENT'
}

/** How systems and databases say that there is no room on a disk, by code or by text. */
const NO_ROOM = /\bENOSPC\b|\bEDQUOT\b|no space left on device|disk quota exceeded/i

/** True if an error, or any of its causes, says that the disk is full. */
export function isDiskFull(error: unknown): boolean {
  if (isAtollError(error, 'ATOLL_DISK_FULL')) return true
  if (!isError(error)) return false
  return NO_ROOM.test(String(codeOf(error))) || NO_ROOM.test(error.message) || isDiskFull(error.cause)
}

/**
 * What a database or a disk threw, as `ATOLL_DISK_FULL` if it says that there is no room, and as `ATOLL_STORAGE`
 * otherwise.
 */
export function storageFailure(
  message: string,
  cause: unknown,
  options: Pick<AtollErrorOptions, 'definite' | 'transient'> = {},
): AtollError {
  if (!isDiskFull(cause)) return new AtollError('ATOLL_STORAGE', message, { ...options, cause })
  const details = { reason: 'ENOSPC' }
  return new AtollError('ATOLL_DISK_FULL', `${message}: the disk is full`, { ...options, cause, details })
}

/** The same error, when more is known: that nothing was done, or that something may have been. */
export function withDefinite(error: AtollError, definite: boolean): AtollError {
  if (error.definite === definite) return error
  const { code, message, transient, details } = error
  return new AtollError(code, message, { definite, transient, details, cause: error })
}

/**
 * Does what comes behind a write: reads its answer, or looks at what became of it. What fails there says nothing
 * certain of the write, which may have been made: an `AtollError` is thrown on as one that is not definite.
 */
export async function behindWrite<T>(task: () => T | Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (error) {
    throw isAtollError(error) ? withDefinite(error, false) : error
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return isError(error) ? error.message : String(error)
}
