import type { KeyId, Runtime, Timer } from '@atoll/core'
import type { CoordinatorSettings } from './options.ts'
import type { Replicas } from './ports.ts'
import type { Missed } from './put-machine.ts'

/** That somebody missed a write of a key. */
export interface MissedKey extends Missed {
  readonly id: KeyId
}

interface Pending {
  readonly missed: MissedKey
  tries: number
}

const RETRY_MS = 1000
/** Notes that are tried again at a time: more of them are given up. */
const MAX_PENDING = 1000
/** Tries of one note: whoever is away for longer is told by those who give it what it missed. */
const MAX_TRIES = 120

/**
 * Has replicas note who missed a write. One of those that have it is enough, and all of them are asked; if none can be
 * reached now, they are asked again in the background, for as long as this node lives.
 */
export class HintNotes {
  readonly #runtime: Pick<Runtime, 'clock' | 'metrics' | 'probe'>
  readonly #replicas: Replicas
  readonly #timeoutMs: number
  #pending: Pending[] = []
  #timer: Timer | undefined
  #isOpen = false

  constructor(
    runtime: Pick<Runtime, 'clock' | 'metrics' | 'probe'>,
    replicas: Replicas,
    { attemptTimeoutMs }: Pick<CoordinatorSettings, 'attemptTimeoutMs'>,
  ) {
    this.#runtime = runtime
    this.#replicas = replicas
    this.#timeoutMs = attemptTimeoutMs
  }

  open(): void {
    this.#isOpen = true
  }

  /** What nobody could be told by now is lost. */
  close(): void {
    this.#isOpen = false
    this.#timer?.cancel()
    this.#timer = undefined
    this.#lose(this.#pending.length)
    this.#pending = []
  }

  /** Resolves after the first try. Never rejects. */
  async note(all: readonly MissedKey[]): Promise<void> {
    await this.#try(all.map((missed) => ({ missed, tries: 0 })))
  }

  async #try(all: readonly Pending[]): Promise<void> {
    const told = await Promise.all(all.map(({ missed }) => this.#tell(missed)))
    for (const [at, pending] of all.entries()) {
      pending.tries += 1
      if (!told[at]) this.#keep(pending)
    }
    if (this.#pending.length > 0)
      this.#timer ??= this.#runtime.clock.timer(RETRY_MS, this.#retry, { background: true })
  }

  async #tell({ id, holders, nodes }: MissedKey): Promise<boolean> {
    const options = { timeoutMs: this.#timeoutMs }
    const noted = await Promise.allSettled(
      holders.map((holder) => this.#replicas.hint(holder, id, nodes, options)),
    )
    return noted.some(({ status }) => status === 'fulfilled')
  }

  #keep(pending: Pending): void {
    const isTooMuch = this.#pending.length >= MAX_PENDING || pending.tries >= MAX_TRIES
    if (!this.#isOpen || isTooMuch) this.#lose(1)
    else this.#pending.push(pending)
  }

  readonly #retry = (): void => {
    this.#timer = undefined
    const pending = this.#pending
    this.#pending = []
    void this.#try(pending)
  }

  #lose(notes: number): void {
    if (notes === 0) return
    this.#runtime.probe.mark('coordinator.hint_lost')
    this.#runtime.metrics.count('atoll_coordinator_hints_lost_total', notes)
  }
}
