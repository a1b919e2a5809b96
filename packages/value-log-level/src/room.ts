import { MiB } from '@atoll/core'
import type { Files, ValueLogRuntime } from './ports.ts'

/** How old what is known of the free space may be. */
const FRESH_MS = 200
/** How much may have been written since: this, or a share of what there is beside the reserve, if that is more. */
const FRESH_BYTES = 4 * MiB
const FRESH_SHARE = 1 / 64

/**
 * Whether the disk has more room than is kept in reserve for what deletes, collects and opens. Asked for each write and
 * answered at once, by what was found a moment before.
 */
export class Room {
  readonly #runtime: Pick<ValueLogRuntime, 'clock' | 'log'>
  readonly #files: Pick<Files, 'freeBytes'>
  readonly #spareBytes: number
  #freeBytes = Number.POSITIVE_INFINITY
  #looking = false
  #lookedMs = Number.NEGATIVE_INFINITY
  #writtenBytes = 0
  #freshBytes = FRESH_BYTES

  constructor(
    runtime: Pick<ValueLogRuntime, 'clock' | 'log'>,
    files: Pick<Files, 'freeBytes'>,
    spareBytes: number,
  ) {
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
    if (this.#writtenBytes > this.#freshBytes) void this.look()
  }

  async look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    this.#lookedMs = this.#runtime.clock.monotonicMs()
    this.#writtenBytes = 0
    try {
      this.#freeBytes = await this.#files.freeBytes()
      this.#freshBytes = Math.max(FRESH_BYTES, (this.#freeBytes - this.#spareBytes) * FRESH_SHARE)
    } catch (error) {
      // Whoever writes will hear of it.
      this.#runtime.log.warn({ err: error }, 'the free space of the disk is not known')
    } finally {
      this.#looking = false
    }
  }
}
