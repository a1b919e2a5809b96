import { BYTES, type InnerLevel, type ValueLogRuntime } from './ports.ts'
import { Turns } from './turns.ts'

type Found = Uint8Array | undefined

/** Reads of the inner database; in place, by turns, where it has `getSync`. */
export class InnerReads {
  readonly #inner: InnerLevel
  readonly #canReadInPlace: boolean
  readonly #turns: Turns

  constructor(inner: InnerLevel, clock: Pick<ValueLogRuntime['clock'], 'monotonicMs'>) {
    this.#inner = inner
    this.#canReadInPlace = inner.supports.getSync === true && inner.getSync !== undefined
    this.#turns = new Turns(clock)
  }

  get(key: Uint8Array): Found | Promise<Found> {
    if (this.#mayReadInPlace(1)) return this.#inPlace(key)
    return this.#turns.elsewhere(this.#inner.get(key, BYTES))
  }

  getMany(keys: Uint8Array[]): Found[] | Promise<Found[]> {
    if (this.#mayReadInPlace(keys.length)) return keys.map((key) => this.#inPlace(key))
    return this.#turns.elsewhere(this.#inner.getMany(keys, BYTES))
  }

  #mayReadInPlace(reads: number): boolean {
    return this.#canReadInPlace && this.#turns.take(reads)
  }

  #inPlace(key: Uint8Array): Found {
    return this.#turns.inPlace(() => this.#inner.getSync?.(key, BYTES))
  }
}
