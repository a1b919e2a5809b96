import {
  AtollError,
  codeOf,
  decodeWith,
  encodeWith,
  isAtollError,
  storageFailure,
  type TupleCodec,
  writeFenceOf,
} from '@atoll/core'
import { COUNTER_KEY } from './level-keys.ts'
import type { LevelDatabase, LevelOperation } from './ports.ts'

/** Binary keys and values, whatever the database's own defaults are. */
export const BINARY = { keyEncoding: 'view', valueEncoding: 'view' } as const
const DURABLE = { ...BINARY, sync: true } as const

/** Events that are set aside at once, so that one write in so many costs a second one. */
const LEASE = 1_048_576

const counterCodec: TupleCodec<number> = {
  name: 'counter of writes',
  version: 1,
  encode: (counter) => [counter],
  decode: (reader) => reader.uint(),
}

/**
 * Numbers the writes of a database. They only grow, also over restarts and deleted records, so that a context never
 * covers a write that its reader has not seen.
 */
export class LevelEvents {
  readonly #database: LevelDatabase
  readonly #write: LevelWriter
  #last = 0
  #leasedTo = 0
  #leasing: Promise<void> | undefined

  constructor(database: LevelDatabase, write: LevelWriter) {
    this.#database = database
    this.#write = write
  }

  async next(): Promise<number> {
    while (this.#last === this.#leasedTo) {
      this.#leasing ??= this.#lease().finally(() => {
        this.#leasing = undefined
      })
      await this.#leasing
    }
    this.#last += 1
    return this.#last
  }

  async #lease(): Promise<void> {
    const stored = await this.#database.get(COUNTER_KEY, BINARY).catch(storageFailed({ definite: true }))
    const start = stored === undefined ? 0 : decodeWith(counterCodec, stored)
    const value = encodeWith(counterCodec, start + LEASE)
    await this.#write([{ type: 'put', key: COUNTER_KEY, value }])
    this.#last = start
    this.#leasedTo = start + LEASE
  }
}

/** Writes a batch that is on disk when the promise resolves. */
export type LevelWriter = (operations: LevelOperation[]) => Promise<void>

/** Behind the fence of the database, if it needs one. */
export function writerOf(database: LevelDatabase): LevelWriter {
  const fence = writeFenceOf(database)
  return (operations) => {
    const write = () => database.batch(operations, DURABLE)
    return (fence === undefined ? write() : fence.run(write)).catch(storageFailed({}))
  }
}

/** Rethrows what a database has thrown, as `ATOLL_STORAGE`, `ATOLL_DISK_FULL` or `ATOLL_CLOSED`. */
export function storageFailed(options: { readonly definite?: boolean }): (cause: unknown) => never {
  return (cause) => {
    if (codeOf(cause) === 'LEVEL_DATABASE_NOT_OPEN')
      throw new AtollError('ATOLL_CLOSED', 'the database is not open', { cause })
    if (isAtollError(cause)) throw cause
    throw storageFailure('the database below failed', cause, options)
  }
}
