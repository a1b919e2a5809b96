import { isAtollError } from '@atoll/core'

/**
 * - `ok`: acknowledged.
 * - `fail`: it certainly did not happen.
 * - `unknown`: it may have happened, or may yet.
 */
export type Outcome = 'ok' | 'fail' | 'unknown'

export interface Intent {
  /** Who asks; a client does one thing after the other. */
  readonly client: string
  /** `add` puts an element into a set of the name `key`; `list` reads all keys, `folders` with common prefixes. */
  readonly kind: 'put' | 'delete' | 'get' | 'add' | 'list' | 'folders'
  readonly key: string
  /** What is written: a digest will do. Undefined for what writes nothing. */
  readonly value?: string | undefined
}

/** Something that a client asked for, and what came of it. */
export interface Operation extends Intent {
  /** What was written, or what was read; undefined for a deletion and for a read that found nothing. */
  readonly value: string | undefined
  readonly outcome: Outcome
  readonly beganMs: number
  /** Undefined while it is under way: its outcome is unknown then. */
  readonly endedMs: number | undefined
  /** Places in the one order of all beginnings and ends: many of them share a moment of virtual time. */
  readonly began: number
  readonly ended: number
}

/** What all clients did, in the order in which they did it. Checkers read it; they need nothing else. */
export class OperationHistory {
  readonly #nowMs: () => number
  readonly #operations: Operation[] = []
  #order = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get operations(): readonly Operation[] {
    return this.#operations
  }

  /**
   * Runs an operation and records it. A text that `run` resolves with is what was read. An `AtollError` is an outcome, and
   * not thrown again; any other error is recorded as unknown and thrown.
   */
  async record(intent: Intent, run: () => Promise<unknown>): Promise<Operation> {
    const index = this.#operations.length
    const started: Operation = {
      ...intent,
      value: intent.value,
      outcome: 'unknown',
      beganMs: this.#nowMs(),
      endedMs: undefined,
      began: this.#order++,
      ended: Number.POSITIVE_INFINITY,
    }
    this.#operations.push(started)
    const end = (outcome: Outcome, value = intent.value): Operation => {
      const done = { ...started, outcome, value, endedMs: this.#nowMs(), ended: this.#order++ }
      this.#operations[index] = done
      return done
    }
    try {
      const read = await run()
      return end('ok', typeof read === 'string' ? read : intent.value)
    } catch (error) {
      const done = end(isAtollError(error) && error.definite ? 'fail' : 'unknown')
      if (isAtollError(error)) return done
      throw error
    }
  }
}

/** One operation in words. */
export function describeOperation(operation: Operation): string {
  const { client, kind, key, value, outcome, beganMs, endedMs } = operation
  const what = value === undefined ? `${kind} ${key}` : `${kind} ${key} = ${value}`
  return `${client} ${what} (${outcome}, ${beganMs.toFixed(3)} to ${endedMs?.toFixed(3) ?? '…'} ms)`
}
