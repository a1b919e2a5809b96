import { AbstractIterator, type AbstractIteratorOptions } from 'abstract-level'
import { decodeStored, innerKeyOf, isPointer, type Pointer } from './pointer.ts'
import type { InnerEntry, InnerIterator } from './ports.ts'
import type { ValueReader } from './value-reader.ts'

export interface IteratorSource {
  /** The iterator of the inner database, which may have to wait for writes that were acknowledged already. */
  readonly inner: InnerIterator | Promise<InnerIterator>
  readonly values: ValueReader
  readonly leave: () => void
}

type Entry = [Uint8Array | undefined, Uint8Array | undefined]

/** An entry whose value lies in a segment. */
interface Apart {
  readonly entry: Entry
  readonly key: Uint8Array
  readonly pointer: Pointer
}

/** How many bytes of large values one `nextv` reads, about; it then returns fewer entries than asked for. */
const READ_BYTES = 16 * 1024 * 1024

/** Goes over the inner database, and reads large values, several at a time. */
export class ValueLogIterator<Database> extends AbstractIterator<
  Database,
  Uint8Array | undefined,
  Uint8Array | undefined
> {
  readonly #source: IteratorSource
  readonly #wantsValues: boolean
  #inner: InnerIterator | undefined
  #ahead: InnerEntry[] = []
  #target: Uint8Array | undefined

  constructor(
    db: Database,
    options: AbstractIteratorOptions<Uint8Array | undefined, Uint8Array | undefined>,
    source: IteratorSource,
  ) {
    super(db, options)
    this.#source = source
    this.#wantsValues = options.values !== false
  }

  async _next(): Promise<Entry | undefined> {
    const [entry] = await this._nextv(1)
    return entry
  }

  /** Nearly all entries of most ranges are small: those cost no promise each. */
  async _nextv(size: number): Promise<Entry[]> {
    const inner = this.#inner ?? (await this.#ready())
    if (this.#ahead.length === 0) this.#ahead = await inner.nextv(size)
    const entries: Entry[] = []
    // They are read when all are decoded: what cannot be would leave those that are being read to nobody.
    const apart: Apart[] = []
    let bytes = 0
    for (const [key, value] of this.#ahead) {
      if (entries.length === size || bytes >= READ_BYTES) break
      const stored = this.#wantsValues ? decodeStored(value) : undefined
      const entry: Entry = [key.subarray(1), undefined]
      entries.push(entry)
      if (isPointer(stored)) {
        bytes += stored.bytes
        apart.push({ entry, key, pointer: stored })
      } else entry[1] = stored
    }
    this.#ahead = entries.length === this.#ahead.length ? [] : this.#ahead.slice(entries.length)
    if (apart.length > 0) await Promise.all(apart.map((one) => this.#read(one)))
    return entries
  }

  _seek(target: Uint8Array): void {
    this.#ahead = []
    this.#target = innerKeyOf(target)
    if (this.#inner !== undefined) this.#seekNow(this.#inner)
  }

  async _close(): Promise<void> {
    const { inner, leave } = this.#source
    try {
      // If it never came, whoever read has been told.
      const created = await Promise.resolve(inner).catch(() => undefined)
      await created?.close()
    } finally {
      leave()
    }
  }

  async #ready(): Promise<InnerIterator> {
    if (this.#inner !== undefined) return this.#inner
    const inner = await this.#source.inner
    this.#inner = inner
    this.#seekNow(inner)
    return inner
  }

  #seekNow(inner: InnerIterator): void {
    if (this.#target !== undefined) inner.seek(this.#target, { keyEncoding: 'view' })
    this.#target = undefined
  }

  async #read({ entry, key, pointer }: Apart): Promise<void> {
    entry[1] = await this.#source.values.read(key, pointer)
  }
}
