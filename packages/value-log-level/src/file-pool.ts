import { AtollError } from '@atoll/core'
import type { DataFile, DurableFile, Files } from './ports.ts'
import { segmentName } from './segment-file.ts'

interface Entry {
  readonly opening: Promise<DataFile>
  file: DataFile | undefined
  users: number
  dropped: boolean
}

/** The file that is open for durable writes. */
interface Durable {
  readonly slot: number
  readonly opening: Promise<DurableFile>
}

/** Keeps segment files open, but not more than `maxOpen` that nobody uses, and one of them once more for durable writes. */
export class FilePool {
  readonly #files: Files
  readonly #maxOpen: number
  readonly #entries = new Map<number, Entry>()
  #durable: Durable | undefined
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

  /**
   * Writes the buffers one after the other from `position` on, so that they are durable when it resolves. One at a time.
   * Undefined where there is no such way.
   */
  writeDurably(slot: number, buffers: readonly Uint8Array[], position: number): Promise<void> | undefined {
    const opening = this.#openedDurably(slot)
    return opening?.then((file) => file.write(buffers, position))
  }

  /** The file, for something to do with it at once, if it is open. */
  peek(slot: number): DataFile | undefined {
    return this.#entries.get(slot)?.file
  }

  /** Closes the file as soon as nobody uses it, and for durable writes at once: nobody writes to it any more. */
  async drop(slot: number): Promise<void> {
    if (this.#durable?.slot === slot) await this.#closeDurable()
    await this.#close(slot)
  }

  /** The file that is open for durable writes stays, of which nobody here knows whether it is being written. */
  async #close(slot: number): Promise<void> {
    const entry = this.#entries.get(slot)
    if (entry === undefined) return
    this.#entries.delete(slot)
    entry.dropped = true
    if (entry.users === 0) await entry.file?.close()
  }

  /** Closes all, and then throws what the first has thrown of those that could not be closed. */
  async closeAll(): Promise<void> {
    this.#isClosed = true
    await this.#closeDurable()
    const closed = await Promise.allSettled([...this.#entries.keys()].map((slot) => this.drop(slot)))
    for (const one of closed) if (one.status === 'rejected') throw one.reason
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

  #openedDurably(slot: number): Promise<DurableFile> | undefined {
    if (this.#durable?.slot === slot) return this.#durable.opening
    const files = this.#files
    if (this.#isClosed || files.openDurable === undefined) return undefined
    const open = files.openDurable.bind(files)
    const opening = this.#closeDurable().then(() => open(segmentName(slot)))
    this.#durable = { slot, opening }
    return opening
  }

  /** It was written durably: whatever closing says concerns nobody. */
  async #closeDurable(): Promise<void> {
    const durable = this.#durable
    this.#durable = undefined
    const file = await durable?.opening.catch(() => undefined)
    await file?.close().catch(() => {})
  }

  async #rest(slot: number, entry: Entry): Promise<void> {
    if (entry.dropped) return entry.file?.close()
    // It could not be opened: the next use tries anew.
    if (this.#entries.get(slot) !== entry) return
    if (this.#entries.size <= this.#maxOpen) return
    // The last used goes to the end; the first that rests is closed.
    this.#entries.delete(slot)
    this.#entries.set(slot, entry)
    for (const [other, { users }] of this.#entries) {
      if (users === 0) return this.#close(other)
    }
  }
}
