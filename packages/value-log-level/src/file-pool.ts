import { AtollError } from '@atoll/core'
import type { DataFile, Files } from './ports.ts'
import { segmentName } from './segment-file.ts'

interface Entry {
  readonly opening: Promise<DataFile>
  file: DataFile | undefined
  users: number
  dropped: boolean
}

/** Keeps segment files open, but not more than `maxOpen` that nobody uses. */
export class FilePool {
  readonly #files: Files
  readonly #maxOpen: number
  readonly #entries = new Map<number, Entry>()
  #isClosed = false

  constructor(files: Files, maxOpen: number) {
    this.#files = files
    this.#maxOpen = maxOpen
  }

  /** Runs `action` with the file, which stays open meanwhile. */
  async use<T>(slot: number, action: (file: DataFile) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(slot) ?? this.#open(slot)
    entry.users += 1
    try {
      return await action(entry.file ?? (await entry.opening))
    } finally {
      entry.users -= 1
      if (entry.users === 0) await this.#rest(slot, entry)
    }
  }

  /** The file, for something to do with it at once, if it is open. */
  peek(slot: number): DataFile | undefined {
    return this.#entries.get(slot)?.file
  }

  /** Closes the file as soon as nobody uses it. */
  async drop(slot: number): Promise<void> {
    const entry = this.#entries.get(slot)
    if (entry === undefined) return
    this.#entries.delete(slot)
    entry.dropped = true
    if (entry.users === 0) await entry.file?.close()
  }

  async closeAll(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#entries.keys()].map((slot) => this.drop(slot)))
  }

  #open(slot: number): Entry {
    if (this.#isClosed) throw new AtollError('ATOLL_CLOSED', 'the log is closed', { transient: true })
    const opening = this.#files.open(segmentName(slot))
    const entry: Entry = { opening, file: undefined, users: 0, dropped: false }
    this.#entries.set(slot, entry)
    opening.then(
      (file) => {
        entry.file = file
      },
      () => {
        if (this.#entries.get(slot) === entry) this.#entries.delete(slot)
      },
    )
    return entry
  }

  async #rest(slot: number, entry: Entry): Promise<void> {
    if (entry.dropped) return entry.file?.close()
    if (this.#entries.size <= this.#maxOpen) return
    // The last used goes to the end; the first that rests is closed.
    this.#entries.delete(slot)
    this.#entries.set(slot, entry)
    for (const [other, { users }] of this.#entries) {
      if (users === 0) return this.drop(other)
    }
  }
}
