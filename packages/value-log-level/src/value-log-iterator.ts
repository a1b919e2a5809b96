import { AbstractIterator, type AbstractIteratorOptions } from 'abstract-level'
import { decodeStored, innerKeyOf, isPointer } from './pointer.ts'
import type { InnerEntry, InnerIterator } from './ports.ts'
import type { ValueReader } from './value-reader.ts'

export interface IteratorSource {
  /** The iterator of the inner database, which may have to wait for writes that were acknowledged already. */
  readonly inner: InnerIterator | Promise<InnerIterator>
  readonly values: ValueReader
  readonly leave: () => void
}

type Entry = [Uint8Array | undefined, Uint8Array | undefined]

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

  async _nextv(size: number): Promise<Entry[]> {
    if (this.#ahead.length === 0) this.#ahead = await (await this.#ready()).nextv(size)
    const entries = this.#ahead.splice(0, this.#countToRead(size))
    return Promise.all(entries.map((entry) => this.#resolve(entry)))
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

  #countToRead(size: number): number {
    let bytes = 0
    let count = 0
    for (const [, value] of this.#ahead) {
      if (count === size || bytes >= READ_BYTES) break
      count += 1
      const stored = this.#wantsValues ? decodeStored(value) : undefined
      if (isPointer(stored)) bytes += stored.bytes
    }
    return count
  }

  async #resolve([key, value]: InnerEntry): Promise<Entry> {
    if (!this.#wantsValues) return [key.subarray(1), undefined]
    const stored = decodeStored(value)
    const resolved = isPointer(stored) ? await this.#source.values.read(key, stored) : stored
    return [key.subarray(1), resolved]
  }
}
