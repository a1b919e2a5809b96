import { decodeStored, keyId, type Stored } from './pointer.ts'
import type { LoggedOp } from './record.ts'

interface Recent {
  readonly stored: Stored | undefined
  readonly sequence: number
}

/** Writes that were acknowledged before they reached the inner database: those with `sync: false`, for a moment. */
export class Overlay {
  readonly #recent = new Map<string, Recent>()

  get isEmpty(): boolean {
    return this.#recent.size === 0
  }

  add(ops: readonly LoggedOp[], sequence: number): void {
    for (const { key, inline, pointer } of ops) {
      const stored = inline === undefined ? pointer : decodeStored(inline)
      this.#recent.set(keyId(key), { stored, sequence })
    }
  }

  /** What was written under the key of the inner database; `undefined` if it must be asked. */
  find(innerKey: Uint8Array): { readonly stored: Stored | undefined } | undefined {
    return this.#recent.size === 0 ? undefined : this.#recent.get(keyId(innerKey))
  }

  /** Forgets what the inner database has now. */
  applied(ops: readonly LoggedOp[], sequence: number): void {
    if (this.#recent.size === 0) return
    for (const { key } of ops) {
      const id = keyId(key)
      const recent = this.#recent.get(id)
      if (recent !== undefined && recent.sequence <= sequence) this.#recent.delete(id)
    }
  }
}
