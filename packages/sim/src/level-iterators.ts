import { AbstractIterator, AbstractKeyIterator, AbstractValueIterator } from 'abstract-level'
import type { Cursor } from './cursor.ts'
import type { Entry } from './ordered-map.ts'
import type { SimLevel } from './sim-level.ts'

type Pair = [Uint8Array, Uint8Array]

const copyKey = ({ key }: Entry): Uint8Array => new Uint8Array(key)
const copyValue = ({ value }: Entry): Uint8Array => new Uint8Array(value)
const copyPair = (entry: Entry): Pair => [copyKey(entry), copyValue(entry)]

export class EntryIterator<K, V> extends AbstractIterator<SimLevel<K, V>, K, V> {
  readonly #cursor: Cursor

  constructor(db: SimLevel<K, V>, options: object, cursor: Cursor) {
    super(db, options)
    this.#cursor = cursor
  }

  async _next(): Promise<Pair | undefined> {
    const [entry] = await this.#cursor.take(1)
    return entry && copyPair(entry)
  }

  async _nextv(size: number): Promise<Pair[]> {
    return (await this.#cursor.take(size)).map(copyPair)
  }

  _seek(target: Uint8Array): void {
    this.#cursor.seek(target)
  }
}

export class KeyIterator<K, V> extends AbstractKeyIterator<SimLevel<K, V>, K> {
  readonly #cursor: Cursor

  constructor(db: SimLevel<K, V>, options: object, cursor: Cursor) {
    super(db, options)
    this.#cursor = cursor
  }

  async _next(): Promise<Uint8Array | undefined> {
    const [entry] = await this.#cursor.take(1)
    return entry && copyKey(entry)
  }

  async _nextv(size: number): Promise<Uint8Array[]> {
    return (await this.#cursor.take(size)).map(copyKey)
  }

  _seek(target: Uint8Array): void {
    this.#cursor.seek(target)
  }
}

export class ValueIterator<K, V> extends AbstractValueIterator<SimLevel<K, V>, K, V> {
  readonly #cursor: Cursor

  constructor(db: SimLevel<K, V>, options: object, cursor: Cursor) {
    super(db, options)
    this.#cursor = cursor
  }

  async _next(): Promise<Uint8Array | undefined> {
    const [entry] = await this.#cursor.take(1)
    return entry && copyValue(entry)
  }

  async _nextv(size: number): Promise<Uint8Array[]> {
    return (await this.#cursor.take(size)).map(copyValue)
  }

  _seek(target: Uint8Array): void {
    this.#cursor.seek(target)
  }
}
