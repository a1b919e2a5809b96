import type { AbstractSnapshot } from 'abstract-level'
import { DATA_PREFIX, decodeStored, innerKeyOf, isPointer, type Stored } from './pointer.ts'
import { BYTES, type InnerIterator, type InnerLevel, type InnerRange } from './ports.ts'
import type { ReadOptions } from './requests.ts'
import type { ValueLog } from './value-log.ts'
import { ValueLogSnapshot } from './value-log-snapshot.ts'

export type Range = Partial<Record<'gt' | 'gte' | 'lt' | 'lte', Uint8Array>> &
  ReadOptions &
  Pick<InnerRange, 'reverse' | 'limit' | 'values' | 'highWaterMarkBytes'>

const BEHIND_DATA = Uint8Array.of(DATA_PREFIX + 1)
const FIRST_DATA = Uint8Array.of(DATA_PREFIX)

/**
 * Reads of an open value log. What was acknowledged is in memory or in the inner database, and large values are in the
 * log: each read looks where it has to, and holds back the segments that it may need.
 */
export class LogReads {
  readonly #inner: InnerLevel
  readonly #log: ValueLog

  constructor(inner: InnerLevel, log: ValueLog) {
    this.#inner = inner
    this.#log = log
  }

  /**
   * What `take` makes of the value of a key, which may be a pointer into the log; undefined if there is no such key. Where
   * all of it is found at once nobody can come between, and nothing has to be held back.
   */
  read<T>(
    innerKey: Uint8Array,
    options: ReadOptions,
    take: (stored: Stored) => T | Promise<T>,
  ): T | undefined | Promise<T | undefined> {
    if (options.snapshot !== undefined) return this.#held(this.#readAt(innerKey, options, take))
    const { overlay, reads } = this.#log
    const recent = overlay.find(innerKey)
    if (recent !== undefined) return recent.stored && this.#held(take(ownCopy(recent.stored)))
    const found = reads.get(innerKey)
    const taken = (value: Uint8Array | undefined) => value && take(decodeStored(value))
    return this.#held(found instanceof Promise ? found.then(taken) : taken(found))
  }

  async #readAt<T>(
    innerKey: Uint8Array,
    options: ReadOptions,
    take: (stored: Stored) => T | Promise<T>,
  ): Promise<T | undefined> {
    const value = await this.#inner.get(innerKey, await bytesAt(options))
    return value && take(decodeStored(value))
  }

  /** Holds back the segments that a reading may need that began in this turn. */
  #held<T>(reading: T | Promise<T>): T | Promise<T> {
    if (!(reading instanceof Promise)) return reading
    const { readers } = this.#log
    const ticket = readers.enter()
    return reading.finally(() => readers.leave(ticket))
  }

  async get(key: Uint8Array, options: ReadOptions): Promise<Uint8Array | undefined> {
    const { values } = this.#log
    const innerKey = innerKeyOf(key)
    return await this.read(innerKey, options, (stored) => {
      if (!isPointer(stored)) return stored
      const run = values.readRun(innerKey, stored)
      return run instanceof Promise ? run.then(({ bytes }) => bytes) : run.bytes
    })
  }

  async getMany(keys: readonly Uint8Array[], options: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    const { readers, overlay, values } = this.#log
    const innerKeys = keys.map(innerKeyOf)
    const ticket = readers.enter()
    try {
      const recent = innerKeys.map((key) => (options.snapshot ? undefined : overlay.find(key)))
      const found = await this.#inner.getMany(innerKeys, await bytesAt(options))
      // Before any value is read: what cannot be decoded would leave those that are being read to nobody.
      const stored = recent.map((known, index) => {
        const value = found[index]
        return known === undefined ? value && decodeStored(value) : known.stored && ownCopy(known.stored)
      })
      return await Promise.all(
        innerKeys.map((key, index) => {
          const one = stored[index]
          return isPointer(one) ? values.read(key, one) : one
        }),
      )
    } finally {
      readers.leave(ticket)
    }
  }

  async has(key: Uint8Array, options: ReadOptions): Promise<boolean> {
    const innerKey = innerKeyOf(key)
    const recent = options.snapshot ? undefined : this.#log.overlay.find(innerKey)
    if (recent !== undefined) return recent.stored !== undefined
    return this.#inner.has(innerKey, await bytesAt(options))
  }

  async hasMany(keys: readonly Uint8Array[], options: ReadOptions): Promise<boolean[]> {
    const { overlay } = this.#log
    const innerKeys = keys.map(innerKeyOf)
    const recent = innerKeys.map((key) => (options.snapshot ? undefined : overlay.find(key)))
    const found = await this.#inner.hasMany(innerKeys, await bytesAt(options))
    return found.map((is, index) => {
      const known = recent[index]
      return known === undefined ? is : known.stored !== undefined
    })
  }

  /** An iterator of the inner database that sees every write acknowledged so far, and no later one. */
  iterate(options: Range): InnerIterator | Promise<InnerIterator> {
    const range = innerRange(options)
    const { snapshot } = options
    if (!(snapshot instanceof ValueLogSnapshot)) return this.#afterWrites(() => this.#inner.iterator(range))
    const { inner } = snapshot
    const create = (known: AbstractSnapshot) => this.#inner.iterator({ ...range, snapshot: known })
    return inner instanceof Promise ? quietly(inner.then(create)) : create(inner)
  }

  snapshot(): AbstractSnapshot | Promise<AbstractSnapshot> {
    return this.#afterWrites(() => this.#inner.snapshot())
  }

  /** At once, unless there are writes that were acknowledged and are not in the inner database yet. */
  #afterWrites<T>(create: () => T): T | Promise<T> {
    const { overlay, log } = this.#log
    if (overlay.isEmpty) return create()
    return quietly(
      new Promise((resolve, reject) => {
        log.catchUp(() => resolve(create())).catch(reject)
      }),
    )
  }
}

/** A value belongs to whoever reads it, and what waits to be applied to the inner database must stay as it was written. */
function ownCopy(stored: Stored): Stored {
  return isPointer(stored) ? stored : Buffer.from(stored)
}

/** Whoever uses the promise hears of its failure; nobody has to. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

async function bytesAt({ snapshot }: ReadOptions): Promise<typeof BYTES> {
  return snapshot instanceof ValueLogSnapshot ? { ...BYTES, snapshot: await snapshot.inner } : BYTES
}

function innerRange({ gt, gte, lt, lte, reverse, limit, values, highWaterMarkBytes }: Range): InnerRange {
  const lower = gt === undefined && gte === undefined ? { gte: FIRST_DATA } : {}
  const upper = lt === undefined && lte === undefined ? { lt: BEHIND_DATA } : {}
  return {
    ...BYTES,
    ...lower,
    ...upper,
    ...(gt === undefined ? {} : { gt: innerKeyOf(gt) }),
    ...(gte === undefined ? {} : { gte: innerKeyOf(gte) }),
    ...(lt === undefined ? {} : { lt: innerKeyOf(lt) }),
    ...(lte === undefined ? {} : { lte: innerKeyOf(lte) }),
    reverse: reverse === true,
    limit: limit ?? -1,
    keys: true,
    values: values !== false,
    ...(highWaterMarkBytes === undefined ? {} : { highWaterMarkBytes }),
  }
}
