import { AbstractSnapshot } from 'abstract-level'
import type { Readers, Ticket } from './readers.ts'

export interface SnapshotSource {
  /** The snapshot of the inner database, which may have to wait for writes that were acknowledged already. */
  readonly inner: AbstractSnapshot | Promise<AbstractSnapshot>
  readonly readers: Readers
  readonly ticket: Ticket
}

// The published types leave out the constructor, which takes the owner (README of abstract-level, "snapshot").
const Base = AbstractSnapshot as new (options: { owner: object }) => AbstractSnapshot

/** A snapshot of the inner database, which keeps the segments that it may need. */
export class ValueLogSnapshot extends Base {
  readonly #source: SnapshotSource

  constructor(options: { owner: object }, source: SnapshotSource) {
    super(options)
    this.#source = source
  }

  get inner(): AbstractSnapshot | Promise<AbstractSnapshot> {
    return this.#source.inner
  }

  async _close(): Promise<void> {
    const { inner, readers, ticket } = this.#source
    try {
      // If it never came, whoever read has been told.
      const created = await Promise.resolve(inner).catch(() => undefined)
      await created?.close()
    } finally {
      readers.leave(ticket)
    }
  }
}
