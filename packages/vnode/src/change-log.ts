import type { VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'

const NOTE_VERSION = new Uint8Array([1])

/** What one who watches is told, whoever else watches. */
export interface Watch {
  /** The names of the keys that have changed since it began, as they come. */
  readonly touched: ReadonlySet<string>
  end(): void
}

/**
 * Which keys of a vnode change while it is copied. Each change carries a note in its own batch, so that a note is there
 * exactly if the change is.
 */
export class ChangeLog {
  readonly #layout: VnodeLayout
  readonly #watches = new Set<Set<string>>()

  constructor(layout: VnodeLayout) {
    this.#layout = layout
  }

  /** To be called when the change is queued, and to be written with it. `name` is the text of `dataKey`. */
  note(dataKey: Uint8Array, name: string): Operation {
    for (const touched of this.#watches) touched.add(name)
    return { type: 'put', key: this.#layout.noteKey(dataKey), value: NOTE_VERSION }
  }

  /** From now on; to be ended, since it takes room for every key that changes. */
  watch(): Watch {
    const touched = new Set<string>()
    this.#watches.add(touched)
    return { touched, end: () => this.#watches.delete(touched) }
  }
}
