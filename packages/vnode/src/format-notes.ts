import {
  CONVERTED,
  claimDatabase,
  type DatabaseFormat,
  type FormatState,
  noteFormat,
  type StoredFormat,
} from './database.ts'
import type { Database } from './ports.ts'
import type { Crc32 } from './seal.ts'

export interface FormatNotesParts {
  readonly database: Database
  readonly crc32: Crc32
  /** Whose the database is, and the ring by which the records shall be filed, at this moment. */
  readonly format: () => DatabaseFormat
}

/** What is noted in the database of what is still to be done with it: one note after the other. */
export class FormatNotes {
  readonly #parts: FormatNotesParts
  #state: FormatState = CONVERTED
  #noting: Promise<void> = Promise.resolve()

  constructor(parts: FormatNotesParts) {
    this.#parts = parts
  }

  /** Answers what is noted in a database that is open. Throws as `claimDatabase`. */
  async claim(): Promise<StoredFormat> {
    const { database, crc32, format } = this.#parts
    const found = await claimDatabase(database, format(), crc32)
    const { filedByKey, indexesInOrder, headsInSegments } = found
    this.#state = { filedByKey, indexesInOrder, headsInSegments }
    return found
  }

  /** Resolves when it is noted. */
  note(change: Partial<FormatState>): Promise<void> {
    const { database, crc32, format } = this.#parts
    this.#state = { ...this.#state, ...change }
    const write = () => noteFormat(database, { ...format(), ...this.#state }, crc32)
    this.#noting = this.#noting.then(write, write)
    return this.#noting
  }
}
