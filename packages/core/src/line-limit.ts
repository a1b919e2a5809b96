import type { Clock } from './runtime.ts'

/** Kinds that are told apart; what comes beyond them shares one line. */
const MAX_KINDS = 64
const OTHERS = ''

interface Window {
  readonly untilMs: number
  /** Lines that were kept back since the last one. */
  held: number
}

/** Lets one line of each kind into the log in a while, so that whoever makes many events does not make a log of them. */
export class LineLimit {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #everyMs: number
  readonly #windows = new Map<string, Window>()

  constructor(clock: Pick<Clock, 'monotonicMs'>, everyMs: number) {
    this.#clock = clock
    this.#everyMs = everyMs
  }

  /** How many lines of the kind were kept back since its last one, if this one is to be written; else undefined. */
  take(kind: string): number | undefined {
    const nowMs = this.#clock.monotonicMs()
    const name = this.#windows.has(kind) || this.#windows.size < MAX_KINDS ? kind : OTHERS
    const window = this.#windows.get(name)
    if (window !== undefined && nowMs < window.untilMs) {
      window.held += 1
      return undefined
    }
    this.#windows.set(name, { untilMs: nowMs + this.#everyMs, held: 0 })
    return window?.held ?? 0
  }
}
