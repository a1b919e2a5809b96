import { AtollError, isAtollError, isDiskFull, storageFailure } from './errors.ts'
import { codeOf, isError } from './realms.ts'

/** What a fence looks at of an abstract-level database. */
export interface FencedDatabase {
  readonly supports?: { readonly permanence?: boolean }
  /** True if a write that comes after a failed one is as safe as any other; see `writeFenceOf`. */
  readonly safeAfterFailedWrite?: boolean
  /** The database that a sublevel is a part of; null or undefined for one that is none. */
  readonly parent?: FencedDatabase | null
  once?(event: 'closed', listener: () => void): unknown
}

/** By the whole database, of which several nodes may have sublevels: what failed for one has failed for all. */
const fences = new WeakMap<FencedDatabase, WriteFence>()

/** The database that a sublevel is a part of, or the database itself. */
export function rootOf<D extends FencedDatabase>(database: D): D | FencedDatabase {
  let root: D | FencedDatabase = database
  while (root.parent) root = root.parent
  return root
}

/**
 * The fence before the writes of a database; undefined for one that needs none.
 *
 * LevelDB needs one. A write that fails leaves half a record in its log. What is written after it is acknowledged, with
 * `sync` too, and can be read; the next open finds the half record, takes it for the end of the log, and all of that is gone
 * (`findings/leveldb-acks-after-failed-append.sh`). Closed and opened at once, it loses nothing. A database that has no such
 * fault says `safeAfterFailedWrite`; one without permanence has nothing to lose.
 */
export function writeFenceOf(database: FencedDatabase): WriteFence | undefined {
  const root = rootOf(database)
  if (root.safeAfterFailedWrite === true || root.supports?.permanence === false) return undefined
  const known = fences.get(root)
  if (known !== undefined) return known
  const fence = new WriteFence(root)
  fences.set(root, fence)
  return fence
}

/** Passes no write on to a database after one has failed, until the database was closed. */
export class WriteFence {
  readonly #root: FencedDatabase
  readonly #underWay = new Set<Promise<unknown>>()
  #failure: { readonly cause: unknown } | undefined
  #failures = 0
  #lastCause: unknown

  /** Use `writeFenceOf`. */
  constructor(root: FencedDatabase) {
    this.#root = root
  }

  /** The failed write that the database was not closed since. */
  get failure(): { readonly cause: unknown } | undefined {
    return this.#failure
  }

  /**
   * Writes, unless a write has failed before. A write is not acknowledged while others are under way: of two at a time
   * nobody knows which came first in the log, and if the other one fails, this one may be lost behind it. Throws what
   * `write` throws, and `ATOLL_STORAGE` or `ATOLL_DISK_FULL`: definite if nothing was passed on.
   */
  async run<T>(write: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw refusal(this.#failure.cause)
    const before = this.#failures
    const writing = write()
    this.#underWay.add(writing)
    let answer: T
    try {
      answer = await writing
    } catch (error) {
      if (mayBeHalfDone(error)) this.#failed(error)
      throw error
    } finally {
      this.#underWay.delete(writing)
    }
    if (this.#underWay.size > 0) await Promise.allSettled([...this.#underWay])
    if (this.#failures === before) return answer
    const message = 'another write failed beside this one, which may be lost by that'
    throw storageFailure(message, this.#lastCause, { transient: true })
  }

  #failed(cause: unknown): void {
    this.#failures += 1
    this.#lastCause = cause
    if (this.#failure !== undefined) return
    this.#failure = { cause }
    this.#root.once?.('closed', () => {
      this.#failure = undefined
    })
  }
}

function refusal(cause: unknown): AtollError {
  const message = 'the database takes no writes until it is closed and opened again, since one has failed'
  const options = { definite: true, transient: true }
  return isDiskFull(cause)
    ? storageFailure(message, cause, options)
    : new AtollError('ATOLL_STORAGE', message, { ...options, cause, details: { reason: 'reopen' } })
}

/** Errors by which nothing has come to the disk. */
function mayBeHalfDone(error: unknown): boolean {
  if (isAtollError(error)) return !error.definite
  if (isError(error) && (error.name === 'TypeError' || error.name === 'RangeError')) return false
  return !NOTHING_DONE.has(codeOf(error))
}

const NOTHING_DONE: ReadonlySet<unknown> = new Set([
  'LEVEL_DATABASE_NOT_OPEN',
  'LEVEL_INVALID_KEY',
  'LEVEL_INVALID_VALUE',
  'LEVEL_ENCODING_NOT_SUPPORTED',
])
