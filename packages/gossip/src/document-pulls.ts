import type { FullGossipOptions } from './options.ts'

/**
 * From whom the document is being fetched, and from whom it is not for a while. One who takes longer than a round is given
 * up on so far that another one is asked as well; nobody is asked again at once.
 */
export class DocumentPulls {
  readonly #options: FullGossipOptions
  /** Until when nobody, and until when this one, is asked. */
  #busyUntilMs = 0
  readonly #pausedUntilMs = new Map<string, number>()

  constructor(options: FullGossipOptions) {
    this.#options = options
  }

  /** Whether the document is to be fetched from there now. */
  begin(from: string, nowMs: number): boolean {
    if (this.#busyUntilMs > nowMs || (this.#pausedUntilMs.get(from) ?? nowMs) > nowMs) return false
    this.#busyUntilMs = nowMs + this.#options.periodMs
    this.#pausedUntilMs.set(from, nowMs + this.#options.documentTimeoutMs)
    return true
  }

  /** The fetch from there is over; `learned` if it brought what it was for. */
  ended(from: string, learned: boolean, nowMs: number): void {
    this.#busyUntilMs = nowMs
    if (learned) this.#pausedUntilMs.delete(from)
    else this.#pausedUntilMs.set(from, nowMs + this.#options.exchangeMs)
  }

  forgetOld(nowMs: number): void {
    for (const [from, untilMs] of this.#pausedUntilMs) if (untilMs <= nowMs) this.#pausedUntilMs.delete(from)
  }
}
