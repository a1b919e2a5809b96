import {
  AtollError,
  codeOf,
  type Log,
  Reopener,
  type Runtime,
  rootOf,
  type WriteFence,
  writeFenceOf,
} from '@atoll/core'
import type { AbstractSnapshot } from 'abstract-level'
import type {
  BatchOptions,
  Database,
  DatabaseIterator,
  Operation,
  RangeOptions,
  ReadOptions,
  SummedBytes,
} from './ports.ts'

export interface GuardParts {
  readonly runtime: Pick<Runtime, 'clock' | 'log' | 'metrics'>
  /** Bytes that are free on the disk of the database; undefined if nobody knows. Default nobody does. */
  readonly freeBytes?: () => Promise<number | undefined>
}

/** Who is told how a database takes writes. */
export interface GuardWatcher {
  failed(cause: unknown): void
  reopened(): void
}

/**
 * The same database, that takes no write after a failed one until it was closed and opened again: the guard does that by
 * itself, as soon as there is room. A sublevel is not the guard's to close; there it waits until its owner has closed and
 * opened the whole database. Whatever is kept in one database goes through one guard.
 *
 * Answers the database itself if it needs no guard (see `writeFenceOf`), or is one.
 */
export function guardDatabase(database: Database, parts: GuardParts): Database {
  if (database instanceof GuardedDatabase) return database
  const fence = writeFenceOf(database)
  return fence === undefined ? database : new GuardedDatabase(database, fence, parts)
}

/**
 * Throws `ATOLL_STORAGE` or `ATOLL_DISK_FULL` for writes that it refuses, and for reads while the database is being
 * opened.
 */
export class GuardedDatabase implements Database {
  readonly hasRoom?: () => boolean
  readonly findSummed?: (key: Uint8Array) => Promise<SummedBytes | undefined>
  readonly batchBytes?: NonNullable<Database['batchBytes']>
  watcher: GuardWatcher | undefined
  readonly #database: Database
  readonly #fence: WriteFence
  readonly #reopener: Reopener
  readonly #isSublevel: boolean
  readonly #log: Log
  #isOpen = false

  /** Use `guardDatabase`. */
  constructor(database: Database, fence: WriteFence, { runtime, freeBytes }: GuardParts) {
    this.#database = database
    this.#fence = fence
    this.#isSublevel = rootOf(database) !== database
    this.#log = runtime.log
    this.#reopener = new Reopener({
      runtime,
      label: 'the database',
      freeBytes: freeBytes ?? (async () => undefined),
      // The owner of the whole database closes it, and opens it again.
      isReady: () => !this.#isSublevel || fence.failure === undefined,
      reopen: () => this.#reopen(),
      onReopened: () => {
        runtime.metrics.count('atoll_vnode_storage_reopened_total')
        this.watcher?.reopened()
      },
    })
    if (database.hasRoom !== undefined) this.hasRoom = () => database.hasRoom?.() ?? true
    if (database.findSummed !== undefined)
      this.findSummed = (key) => this.#reading(async () => database.findSummed?.(key))
    if (database.batchBytes !== undefined)
      this.batchBytes = (operations, options) =>
        this.#writing(async () => database.batchBytes?.(operations, options))
  }

  get status(): Database['status'] {
    return this.#database.status
  }

  get supports(): Database['supports'] {
    return this.#database.supports
  }

  keyEncoding(name: 'view'): { readonly format: string } {
    return this.#database.keyEncoding(name)
  }

  async open(): Promise<void> {
    await this.#database.open()
    this.#isOpen = true
    this.#reopener.start()
  }

  async close(): Promise<void> {
    this.#isOpen = false
    await this.#reopener.stop()
    await this.#database.close()
  }

  get(key: Uint8Array, options: ReadOptions): Promise<Uint8Array | undefined> {
    return this.#reading(() => this.#database.get(key, options))
  }

  batch(operations: Operation[], options: BatchOptions): Promise<void> {
    return this.#writing(() => this.#database.batch(operations, options))
  }

  clear(options: Pick<RangeOptions, 'keyEncoding' | 'gte' | 'lt'>): Promise<void> {
    return this.#writing(() => this.#database.clear(options))
  }

  iterator(options: RangeOptions): DatabaseIterator<[Uint8Array, Uint8Array]> {
    return this.#iterating(() => this.#database.iterator(options))
  }

  keys(options: RangeOptions): DatabaseIterator<Uint8Array> {
    return this.#iterating(() => this.#database.keys(options))
  }

  snapshot(): AbstractSnapshot {
    return this.#now(() => this.#database.snapshot())
  }

  async #writing(write: () => Promise<void>): Promise<void> {
    try {
      await this.#fence.run(write)
    } catch (error) {
      const { failure } = this.#fence
      if (failure !== undefined && this.#isOpen) this.#failed(failure.cause)
      throw this.#explained(error)
    }
  }

  #failed(cause: unknown): void {
    const isNew = this.#reopener.failure === undefined
    this.#reopener.failed(cause)
    this.watcher?.failed(cause)
    if (!isNew || !this.#isSublevel) return
    const what =
      'a write failed in the database that holds the sublevel of this node: close that database and open it again'
    this.#log.error({ err: cause }, what)
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      throw this.#explained(error)
    }
  }

  #now<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      throw this.#explained(error)
    }
  }

  #iterating<Item>(create: () => DatabaseIterator<Item>): DatabaseIterator<Item> {
    const iterator = this.#now(create)
    return {
      nextv: (size) => this.#reading(() => iterator.nextv(size)),
      seek: (target, options) => this.#now(() => iterator.seek(target, options)),
      close: () => iterator.close(),
    }
  }

  async #reopen(): Promise<void> {
    if (this.#isSublevel) return this.#database.open()
    await this.#database.close()
    // What was there must be there: an empty database in its place would be taken for a new one.
    await this.#database.open({ createIfMissing: false, errorIfExists: false })
  }

  /** Reads end when the database is opened again, as its iterators and snapshots do. */
  #explained(error: unknown): unknown {
    if (!this.#isOpen || !isNotOpen(error)) return error
    if (this.#reopener.failure === undefined && this.#database.status !== 'open') return error
    const message = 'the database is opened again after a failed write'
    return new AtollError('ATOLL_STORAGE', message, { cause: error, definite: true, transient: true })
  }
}

/** Databases, iterators and snapshots say so in the same words. */
function isNotOpen(error: unknown): boolean {
  return /^LEVEL_\w+_NOT_OPEN$/.test(String(codeOf(error)))
}
