import { wrongType } from '@atoll/core'
import { AbstractLevel, AbstractSnapshot } from 'abstract-level'
import { Cursor, type RangeOptions, rangeOf } from './cursor.ts'
import type { Device, Session } from './device.ts'
import type { Operation } from './disk-image.ts'
import { EntryIterator, KeyIterator, ValueIterator } from './level-iterators.ts'
import type { Entry, OrderedMap } from './ordered-map.ts'

/** Bytes go in and out as `Uint8Array`; abstract-level transcodes the rest. */
const MANIFEST = {
  encodings: { view: true },
  has: true,
  getSync: true,
  explicitSnapshots: true,
  permanence: true,
  createIfMissing: false,
  errorIfExists: false,
}

interface ReadOptions {
  readonly snapshot?: AbstractSnapshot | undefined
}

interface WriteOptions {
  readonly sync?: boolean | undefined
}

interface SnapshotOptions {
  readonly owner: object
}

// The published types leave out the parameter that the constructor needs.
const SnapshotBase: new (options: SnapshotOptions) => AbstractSnapshot = AbstractSnapshot

class SimSnapshot extends SnapshotBase {
  readonly map: OrderedMap

  constructor(map: OrderedMap, options: SnapshotOptions) {
    super(options)
    this.map = map
  }
}

/**
 * An abstract-level database on a simulated disk. Every operation takes virtual time, and no real time; reads see the
 * moment at which they were asked for; writes are applied in the order in which they were asked for.
 */
export class SimLevel<K = string, V = string> extends AbstractLevel<string | Buffer | Uint8Array, K, V> {
  readonly #device: Device
  #session: Session = { broken: true, pending: new Set() }

  /** Use `SimDisk.open`. */
  constructor(device: Device, options: object = {}) {
    super(MANIFEST, options)
    this.#device = device
  }

  /** Whether a write that comes after a failed one is as safe as any other. */
  get safeAfterFailedWrite(): boolean {
    return !this.#device.tornByFailure
  }

  async _open(): Promise<void> {
    this.#session = await this.#device.attach()
  }

  _close(): Promise<void> {
    return this.#device.detach(this.#session)
  }

  async _get(key: Uint8Array, options: ReadOptions): Promise<Uint8Array | undefined> {
    const [value] = await this._getMany([key], options)
    return value
  }

  _getSync(key: Uint8Array, options: ReadOptions): Uint8Array | undefined {
    this.#device.checkRead(this.#session)
    return copyOf(this.#map(options).get(key))
  }

  async _getMany(keys: readonly Uint8Array[], options: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    const entries = await this.#read(keys, options)
    return entries.map(copyOf)
  }

  async _has(key: Uint8Array, options: ReadOptions): Promise<boolean> {
    const [has = false] = await this._hasMany([key], options)
    return has
  }

  async _hasMany(keys: readonly Uint8Array[], options: ReadOptions): Promise<boolean[]> {
    const entries = await this.#read(keys, options)
    return entries.map((entry) => entry !== undefined)
  }

  _put(key: Uint8Array, value: Uint8Array, options: WriteOptions): Promise<void> {
    return this._batch([{ type: 'put', key, value }], options)
  }

  _del(key: Uint8Array, options: WriteOptions): Promise<void> {
    return this._batch([{ type: 'del', key }], options)
  }

  _batch(operations: readonly Operation[], options: WriteOptions): Promise<void> {
    let bytes = 0
    const copies = operations.map((operation) => {
      const copy = copyOperation(operation)
      bytes += copy.key.length + (copy.type === 'put' ? copy.value.length : 0)
      return copy
    })
    return this.#device.write(this.#session, { plan: () => copies, bytes, sync: options.sync === true })
  }

  _clear(options: RangeOptions & ReadOptions & WriteOptions): Promise<void> {
    const { snapshot, sync } = options
    const plan = (current: OrderedMap): Operation[] => {
      const map = snapshot === undefined ? current : this.#map(options)
      return map.range(rangeOf(options)).map(({ key }) => ({ type: 'del', key }))
    }
    return this.#device.write(this.#session, { plan, bytes: 0, sync: sync === true })
  }

  _iterator(options: RangeOptions & ReadOptions): EntryIterator<K, V> {
    return new EntryIterator(this, options, this.#cursor(options))
  }

  _keys(options: RangeOptions & ReadOptions): KeyIterator<K, V> {
    return new KeyIterator(this, options, this.#cursor(options))
  }

  _values(options: RangeOptions & ReadOptions): ValueIterator<K, V> {
    return new ValueIterator(this, options, this.#cursor(options))
  }

  _snapshot(options: SnapshotOptions): AbstractSnapshot {
    return new SimSnapshot(this.#device.image.current, options)
  }

  /** False while the disk has no more room than is kept for writes that make room. */
  hasRoom(): boolean {
    return this.#device.hasRoom
  }

  async #read(keys: readonly Uint8Array[], options: ReadOptions): Promise<(Entry | undefined)[]> {
    const map = this.#map(options)
    const entries = keys.map((key) => map.get(key))
    await this.#device.read(this.#session, entries)
    return entries
  }

  #cursor(options: RangeOptions & ReadOptions): Cursor {
    return new Cursor(this.#device, this.#session, { map: this.#map(options), range: rangeOf(options) })
  }

  #map({ snapshot }: ReadOptions): OrderedMap {
    if (snapshot === undefined || snapshot === null) return this.#device.image.current
    if (snapshot instanceof SimSnapshot) return snapshot.map
    throw wrongType('snapshot', 'must be one of a simulated database')
  }
}

/** Memory belongs to the caller again when a write was begun, and what it reads is its own. */
function copyOperation(operation: Operation): Operation {
  const key = new Uint8Array(operation.key)
  return operation.type === 'del'
    ? { type: 'del', key }
    : { type: 'put', key, value: new Uint8Array(operation.value) }
}

function copyOf(entry: Entry | undefined): Uint8Array | undefined {
  return entry === undefined ? undefined : new Uint8Array(entry.value)
}
