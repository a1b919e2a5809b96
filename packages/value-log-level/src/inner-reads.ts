import { BYTES, type InnerLevel, type ValueLogRuntime } from './ports.ts'
import { Turns } from './turns.ts'

type Found = Uint8Array | undefined

/** Reads of the inner database; in place, by turns, where it has `getSync`. */
export class InnerReads {
  readonly #inner: InnerLevel
  readonly #canReadInPlace: boolean
  readonly #turns: Turns

  constructor(inner: InnerLevel, clock: Pick<ValueLogRuntime['clock'], 'monotonicMs' | 'timer'>) {
    this.#inner = inner
    this.#canReadInPlace = inner.supports.getSync === true && inner.getSync !== undefined
    this.#turns = new Turns(clock)
  }

  get(key: Uint8Array): Found | Promise<Found> {
    if (this.#canReadInPlace) {
      const startMs = this.#turns.take(1)
      if (startMs !== undefined) return this.#turns.made(startMs, this.#inPlace(key))
    }
    const elsewhere = () => this.#inner.get(key, BYTES)
    if (!this.#canReadInPlace) return elsewhere()
    return this.#turns.read({ reads: 1, inPlace: () => this.#inPlace(key), elsewhere })
  }

  getMany(keys: Uint8Array[]): Found[] | Promise<Found[]> {
    const elsewhere = () => this.#inner.getMany(keys, BYTES)
    if (!this.#canReadInPlace) return elsewhere()
    const inPlace = () => keys.map((key) => this.#inPlace(key))
    return this.#turns.read({ reads: keys.length, inPlace, elsewhere })
  }

  #inPlace(key: Uint8Array): Found {
    return this.#inner.getSync?.(key, BYTES)
  }
}
