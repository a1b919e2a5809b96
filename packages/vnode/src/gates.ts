import { AtollError, type Clock } from '@atoll/core'

/**
 * How far a partition has gone on its way to another node.
 *
 * - `copying`: served here; what changes is noted.
 * - `pausing`: served here, but writes wait, for the moment in which it is handed over.
 * - `resealing`: handed over, but the other node has to be told again first, so everything waits.
 * - `cut-off`: the same, and the last attempt to tell it has failed.
 * - `sealed`: handed over; everything is sent on.
 */
export type GatePhase = 'copying' | 'pausing' | 'resealing' | 'cut-off' | 'sealed'

/** A partition on its way to another node. */
export interface Gate {
  readonly to: string
  readonly phase: GatePhase
  /** True if the partition was handed over to this node before, and goes back. */
  readonly isReturn: boolean
}

/** Requests that wait at the gates of one node; one more is refused as overload. */
const MAX_WAITING = 10_000

/**
 * Which partitions of a node are on their way to another one, and which were handed over to it. Asked with every
 * request, so it lives in memory; what must outlive the process is written down beforehand by whoever changes it.
 */
export class Gates {
  /** Tells the other node once more that a partition was handed over to it; set by whoever hands over. */
  reseal: (partition: number) => Promise<void> = async () => {}
  readonly #clock: Clock
  readonly #gates = new Map<number, Gate>()
  readonly #inbound = new Map<number, string>()
  readonly #forwards = new Map<number, number>()
  readonly #waiting = new Map<number, Set<() => void>>()
  #waiters = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(partition: number): Gate | undefined {
    return this.#gates.get(partition)
  }

  /** Partitions with a gate, by number. */
  all(): ReadonlyMap<number, Gate> {
    return this.#gates
  }

  set(partition: number, gate: Gate): void {
    this.#gates.set(partition, gate)
    this.#wake(partition)
  }

  remove(partition: number): void {
    this.#gates.delete(partition)
    this.#wake(partition)
  }

  /** The node that has handed a partition over to this one. */
  inboundFrom(partition: number): string | undefined {
    return this.#inbound.get(partition)
  }

  accept(partition: number, from: string): void {
    this.#inbound.set(partition, from)
    this.#wake(partition)
  }

  revoke(partition: number): void {
    this.#inbound.delete(partition)
    this.#wake(partition)
  }

  clear(): void {
    for (const partition of [...this.#waiting.keys()]) this.#wake(partition)
    this.#gates.clear()
    this.#inbound.clear()
  }

  /** Counts a request that is sent on over the seal of a partition while it is under way. */
  async forwarding<T>(partition: number, send: () => Promise<T>): Promise<T> {
    this.#forwards.set(partition, (this.#forwards.get(partition) ?? 0) + 1)
    try {
      return await send()
    } finally {
      const left = (this.#forwards.get(partition) ?? 1) - 1
      if (left > 0) this.#forwards.set(partition, left)
      else {
        this.#forwards.delete(partition)
        this.#wake(partition)
      }
    }
  }

  /** True if nothing came to its end in time. */
  async forwardsEnd(partition: number, timeoutMs: number): Promise<boolean> {
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs
    while (this.#forwards.has(partition)) {
      if (!(await this.changed(partition, deadlineMs - this.#clock.monotonicMs()))) return false
    }
    return true
  }

  /** Resolves with true at the next change of the partition's gate, or with false after `timeoutMs`. */
  changed(partition: number, timeoutMs: number): Promise<boolean> {
    if (this.#waiters >= MAX_WAITING) {
      const message = `${MAX_WAITING} requests wait for partitions that are being handed over`
      return Promise.reject(new AtollError('ATOLL_OVERLOADED', message))
    }
    if (timeoutMs <= 0) return Promise.resolve(false)
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(partition) ?? new Set()
      this.#waiting.set(partition, waiting)
      this.#waiters += 1
      const end = (isChanged: boolean) => {
        waiting.delete(wake)
        this.#waiters -= 1
        if (waiting.size === 0 && this.#waiting.get(partition) === waiting) this.#waiting.delete(partition)
        timer.cancel()
        resolve(isChanged)
      }
      const wake = () => end(true)
      const timer = this.#clock.timer(timeoutMs, () => end(false))
      waiting.add(wake)
    })
  }

  #wake(partition: number): void {
    for (const wake of [...(this.#waiting.get(partition) ?? [])]) wake()
  }
}
