import { MiB } from '@atoll/core'
import type { Files, ValueLogRuntime } from './ports.ts'

/** How old what is known of the free space may be, and how much may have been written since. */
const FRESH_MS = 200
const FRESH_BYTES = 4 * MiB

/**
 * Whether the disk has more room than is kept in reserve for what deletes, collects and opens. Asked for each write and
 * answered at once, by what was found a moment before.
 */
export class Room {
  readonly #runtime: Pick<ValueLogRuntime, 'clock' | 'log'>
  readonly #files: Files
  readonly #spareBytes: number
  #freeBytes = Number.POSITIVE_INFINITY
  #looking = false
  #lookedMs = Number.NEGATIVE_INFINITY
  #writtenBytes = 0

  constructor(runtime: Pick<ValueLogRuntime, 'clock' | 'log'>, files: Files, spareBytes: number) {
    this.#runtime = runtime
    this.#files = files
    this.#spareBytes = spareBytes
  }

  isEnough(): boolean {
    return this.#lookedAt() >= this.#spareBytes
  }

  /** Whether there is twice as much room as is kept. */
  isAmple(): boolean {
    return this.#lookedAt() >= 2 * this.#spareBytes
  }

  #lookedAt(): number {
    if (this.#runtime.clock.monotonicMs() - this.#lookedMs > FRESH_MS) void this.look()
    return this.#freeBytes
  }

  wrote(bytes: number): void {
    this.#writtenBytes += bytes
    if (this.#writtenBytes > FRESH_BYTES) void this.look()
  }

  async look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    this.#lookedMs = this.#runtime.clock.monotonicMs()
    this.#writtenBytes = 0
    try {
      this.#freeBytes = await this.#files.freeBytes()
    } catch (error) {
      // Whoever writes will hear of it.
      this.#runtime.log.warn({ err: error }, 'the free space of the disk is not known')
    } finally {
      this.#looking = false
    }
  }
}
