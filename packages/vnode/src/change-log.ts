import type { VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'

const NOTE_VERSION = new Uint8Array([1])

/**
 * Which keys of a vnode change while it is copied. Each change carries a note in its own batch, so that a note is there
 * exactly if the change is.
 */
export class ChangeLog {
  readonly #layout: VnodeLayout
  #touched = new Set<string>()

  constructor(layout: VnodeLayout) {
    this.#layout = layout
  }

  /** To be called when the change is queued, and to be written with it. `name` is the text of `dataKey`. */
  note(dataKey: Uint8Array, name: string): Operation {
    this.#touched.add(name)
    return { type: 'put', key: this.#layout.noteKey(dataKey), value: NOTE_VERSION }
  }

  /** The names of the keys that change from now on, until it is asked again. */
  watch(): ReadonlySet<string> {
    this.#touched = new Set()
    return this.#touched
  }
}
