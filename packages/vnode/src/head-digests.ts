/** The digest of a key's record, or that somebody is reading the record to find it out. */
export interface HeadSlot {
  digest: Uint8Array | undefined
}

/**
 * Digests of the records of keys that were asked for of late, by `keyText` of where they lie. A key is forgotten when
 * a write of it has come to an end, before anybody reads what was written; and what was read before that is not kept
 * (`HeadSlot`). Two generations: when the younger one is full, the older one goes, but for what was asked for meanwhile.
 */
export class HeadDigests {
  readonly #maxOfOne: number
  #younger = new Map<string, HeadSlot>()
  #older = new Map<string, HeadSlot>()

  /** `max` keys at most. */
  constructor(max: number) {
    this.#maxOfOne = Math.max(1, max >> 1)
  }

  get(name: string): Uint8Array | undefined {
    const slot = this.#younger.get(name)
    if (slot !== undefined) return slot.digest
    const older = this.#older.get(name)
    if (older?.digest === undefined) return undefined
    this.#add(name, older)
    return older.digest
  }

  /** To be called before the record is read: then `fill` counts only if nothing was written meanwhile. */
  reading(name: string): HeadSlot {
    const slot = this.#younger.get(name) ?? { digest: undefined }
    this.#add(name, slot)
    return slot
  }

  /** What was read, durable. A slot that was forgotten in between is in neither map, and nobody will find it. */
  fill(slot: HeadSlot, digest: Uint8Array): void {
    slot.digest = digest
  }

  forget(name: string): void {
    this.#younger.delete(name)
    this.#older.delete(name)
  }

  clear(): void {
    this.#younger = new Map()
    this.#older = new Map()
  }

  #add(name: string, slot: HeadSlot): void {
    if (this.#younger.size >= this.#maxOfOne) {
      this.#older = this.#younger
      this.#younger = new Map()
    }
    this.#younger.set(name, slot)
  }
}
