import { decodeStored, keyId, type Stored } from './pointer.ts'
import { type LoggedOp, OP_MOVE } from './record.ts'

interface Recent {
  readonly stored: Stored | undefined
  readonly sequence: number
}

interface Written {
  readonly ops: readonly LoggedOp[]
  readonly sequence: number
}

/**
 * Writes that were acknowledged before they reached the inner database, for that moment. They are looked through
 * when somebody reads: most are gone before anyone does.
 */
export class Overlay {
  readonly #recent = new Map<string, Recent>()
  #unread: Written[] = []
  #indexed: Written[] = []
  #newest = 0

  get isEmpty(): boolean {
    return this.#unread.length === 0 && this.#indexed.length === 0
  }

  /** The youngest record that was ever acknowledged, wholly or in part. */
  get newest(): number {
    return this.#newest
  }

  /** Adds all operations of a record, or some: then all of them may follow. */
  add(ops: readonly LoggedOp[], sequence: number): void {
    this.#unread.push({ ops, sequence })
    this.#newest = Math.max(this.#newest, sequence)
  }

  /** What was written under the key of the inner database; `undefined` if it must be asked. */
  find(innerKey: Uint8Array): { readonly stored: Stored | undefined } | undefined {
    if (this.isEmpty) return undefined
    for (const written of this.#unread) this.#index(written)
    this.#indexed.push(...this.#unread)
    this.#unread = []
    return this.#recent.get(keyId(innerKey))
  }

  /** Forgets all records up to `sequence`: the inner database has them now. */
  applied(sequence: number): void {
    this.#unread = this.#unread.filter((written) => written.sequence > sequence)
    for (const written of this.#indexed) if (written.sequence <= sequence) this.#forget(written)
    this.#indexed = this.#indexed.filter((written) => written.sequence > sequence)
  }

  /** A move is not a write: whether it counts is known when it is applied, and until then the old place is good. */
  #index({ ops, sequence }: Written): void {
    for (const { type, key, inline, pointer } of ops) {
      if (type === OP_MOVE) continue
      const id = keyId(key)
      if ((this.#recent.get(id)?.sequence ?? 0) > sequence) continue
      const stored = inline === undefined ? pointer : decodeStored(inline)
      this.#recent.set(id, { stored, sequence })
    }
  }

  #forget({ ops, sequence }: Written): void {
    for (const { key } of ops) {
      const id = keyId(key)
      const recent = this.#recent.get(id)
      if (recent !== undefined && recent.sequence <= sequence) this.#recent.delete(id)
    }
  }
}
