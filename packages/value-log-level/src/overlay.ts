import { type LoggedOp, OP_MOVE } from './operation.ts'
import { decodeStored, keyId, type Stored } from './pointer.ts'

interface Recent {
  readonly stored: Stored | undefined
  readonly sequence: number
}

interface Written {
  readonly ops: readonly LoggedOp[]
  readonly sequence: number
}

/** Writes that were acknowledged between two times that the inner database was told of some. */
interface Generation {
  readonly recent: Map<string, Recent>
  /** Those that are not in the map yet. */
  unread: Written[]
  newest: number
}

/**
 * Writes that were acknowledged before they reached the inner database, for that moment. They are looked through when
 * somebody reads: most are gone before anyone does. They go as a generation, when the inner database has all of it.
 */
export class Overlay {
  /** The oldest first. */
  #generations: Generation[] = []
  #newest = 0
  #applied = 0
  /** The inner database has got something since the youngest generation began. */
  #isNextDue = true

  get isEmpty(): boolean {
    return this.#generations.length === 0
  }

  /** The youngest record that was ever acknowledged, wholly or in part. */
  get newest(): number {
    return this.#newest
  }

  /** Adds all operations of a record, or some: then all of them may follow. */
  add(ops: readonly LoggedOp[], sequence: number): void {
    const generation = this.#youngest()
    generation.unread.push({ ops, sequence })
    generation.newest = Math.max(generation.newest, sequence)
    this.#newest = Math.max(this.#newest, sequence)
  }

  /** What was written under the key of the inner database; `undefined` if it must be asked. */
  find(innerKey: Uint8Array): { readonly stored: Stored | undefined } | undefined {
    if (this.isEmpty) return undefined
    const id = keyId(innerKey)
    let found: Recent | undefined
    for (const generation of this.#generations) {
      for (const written of generation.unread) index(generation.recent, written)
      if (generation.unread.length > 0) generation.unread = []
      const recent = generation.recent.get(id)
      if (recent !== undefined && recent.sequence >= (found?.sequence ?? 0)) found = recent
    }
    // What the inner database has is read there: the value may have been moved since.
    return found !== undefined && found.sequence > this.#applied ? found : undefined
  }

  /** The inner database has all records up to `sequence` now. */
  applied(sequence: number): void {
    this.#applied = Math.max(this.#applied, sequence)
    this.#generations = this.#generations.filter(({ newest }) => newest > this.#applied)
    this.#isNextDue = true
  }

  #youngest(): Generation {
    const last = this.#generations.at(-1)
    if (last !== undefined && !this.#isNextDue) return last
    this.#isNextDue = false
    const generation: Generation = { recent: new Map(), unread: [], newest: 0 }
    this.#generations.push(generation)
    return generation
  }
}

/** A move is not a write: whether it counts is known when it is applied, and until then the old place is good. */
function index(recent: Map<string, Recent>, { ops, sequence }: Written): void {
  for (const { type, id, inline, pointer } of ops) {
    if (type === OP_MOVE) continue
    if ((recent.get(id)?.sequence ?? 0) > sequence) continue
    const stored = inline === undefined ? pointer : decodeStored(inline)
    recent.set(id, { stored, sequence })
  }
}
