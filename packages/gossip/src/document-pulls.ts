import type { FullGossipOptions } from './options.ts'

/** From whom the document is being fetched, and from whom it is not for a while: one at a time, and no hot loop. */
export class DocumentPulls {
  readonly #options: FullGossipOptions
  readonly #pausedUntilMs = new Map<string, number>()
  #current: { readonly from: string; readonly untilMs: number } | undefined

  constructor(options: FullGossipOptions) {
    this.#options = options
  }

  /** Whether the document is to be fetched from there now. */
  begin(from: string, nowMs: number): boolean {
    if (this.#current !== undefined && this.#current.untilMs > nowMs) return false
    if ((this.#pausedUntilMs.get(from) ?? nowMs) > nowMs) return false
    this.#current = { from, untilMs: nowMs + this.#options.documentTimeoutMs }
    return true
  }

  ended(from: string, learned: boolean, nowMs: number): void {
    if (this.#current?.from === from) this.#current = undefined
    if (!learned) this.#pausedUntilMs.set(from, nowMs + this.#options.exchangeMs)
  }

  forgetOld(nowMs: number): void {
    for (const [from, untilMs] of this.#pausedUntilMs) if (untilMs <= nowMs) this.#pausedUntilMs.delete(from)
  }
}
