/** Where words go: `process.stdout` fits. */
export interface Terminal {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** A terminal is told ten times a second, a log file every ten seconds. */
const TERMINAL_MS = 100
const LOG_MS = 10_000

/** Says how far a swarm has come. */
export class Progress {
  readonly #terminal: Terminal
  readonly #total: number
  readonly #nowMs: () => number
  readonly #beganMs: number
  #shownMs: number

  constructor(terminal: Terminal, total: number, nowMs: () => number) {
    this.#terminal = terminal
    this.#total = total
    this.#nowMs = nowMs
    this.#beganMs = nowMs()
    this.#shownMs = this.#beganMs
  }

  show(done: number): void {
    const { isTTY = false } = this.#terminal
    const nowMs = this.#nowMs()
    if (nowMs - this.#shownMs < (isTTY ? TERMINAL_MS : LOG_MS)) return
    this.#shownMs = nowMs
    const seconds = (nowMs - this.#beganMs) / 1000
    const line = `${done}/${this.#total} seeds, ${(done / seconds).toFixed(1)} seeds/s`
    this.#terminal.write(isTTY ? `\r${line}` : `${line}\n`)
  }

  /** Wipes the line that a terminal shows. */
  end(): void {
    if (this.#terminal.isTTY === true) this.#terminal.write(`\r${' '.repeat(60)}\r`)
  }
}
