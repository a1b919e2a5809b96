import { AtollError } from './errors.ts'

export interface AdmissionLimits {
  readonly queueWrites: number
  readonly queueBytes: number
}

/** Bounds what is under way, from arrival until it is over, in number and in bytes. */
export class Admission {
  readonly #limits: AdmissionLimits
  #writes = 0
  #bytes = 0

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
  }

  /** Throws `ATOLL_OVERLOADED` past a limit. One task may always run, whatever its size. */
  async run<T>(bytes: number, task: () => Promise<T>): Promise<T> {
    this.enter(bytes)
    try {
      return await task()
    } finally {
      this.leave(bytes)
    }
  }

  /** Throws as `run`; what has entered leaves. */
  enter(bytes: number): void {
    const { queueWrites, queueBytes } = this.#limits
    if (this.#writes >= queueWrites) throw overloaded(`${queueWrites} writes`)
    if (this.#writes > 0 && this.#bytes + bytes > queueBytes)
      throw overloaded(`${queueBytes} bytes of writes`)
    this.#writes += 1
    this.#bytes += bytes
  }

  leave(bytes: number): void {
    this.#writes -= 1
    this.#bytes -= bytes
  }
}

function overloaded(limit: string): AtollError {
  return new AtollError('ATOLL_OVERLOADED', `the node has ${limit} under way already`)
}
