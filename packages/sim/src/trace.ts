import { createHash } from 'node:crypto'

/** Lines are hashed in lumps of about this many characters: one call of the hash costs more than the bytes. */
const LUMP = 16_384

/** What happened in a world: a hash of all of it, and the last lines in words. */
export class Trace {
  readonly #hash = createHash('sha256')
  readonly #lines: string[] = []
  readonly #maxLines: number
  #lump = ''
  #dropped = 0

  constructor(maxLines: number) {
    this.#maxLines = maxLines
  }

  /** Adds to the hash alone. */
  feed(line: string): void {
    this.#lump += `${line}\n`
    if (this.#lump.length >= LUMP) {
      this.#hash.update(this.#lump)
      this.#lump = ''
    }
  }

  /** Adds to the hash and to the timeline. */
  note(line: string): void {
    this.feed(line)
    this.#lines.push(line)
    // Twice the length is let in before the older half goes, so that a line costs no shift of the array.
    if (this.#lines.length >= 2 * this.#maxLines) {
      this.#dropped += this.#lines.splice(0, this.#maxLines).length
    }
  }

  hash(): string {
    return this.#hash.copy().update(this.#lump).digest('hex').slice(0, 32)
  }

  /** The last lines, the newest last, behind one that says how many are missing. */
  tail(): readonly string[] {
    const lines = this.#lines.slice(-this.#maxLines)
    const missing = this.#dropped + this.#lines.length - lines.length
    return missing === 0 ? lines : [`(${missing} earlier lines left out)`, ...lines]
  }
}
