import type { FullGossipOptions } from './options.ts'

/** What the time of a suspicion is made of. */
export interface SuspicionTimes {
  readonly minMs: number
  readonly maxMs: number
  /** Confirmations by others after which it is as short as it gets. */
  readonly confirmations: number
}

/**
 * How long a suspect has to refute (Lifeguard, LHA-Suspicion): long at first, and shorter with everyone who confirms, since
 * a node that alone accuses may itself be the slow one.
 */
export function suspicionMs(times: SuspicionTimes, confirmed: number): number {
  const { minMs, maxMs, confirmations } = times
  if (confirmations < 1) return minMs
  const share = Math.log(Math.min(confirmed, confirmations) + 1) / Math.log(confirmations + 1)
  return maxMs - (maxMs - minMs) * share
}

/** How long a suspicion lasts in a cluster of `nodes`. */
export function suspicionTimes(nodes: number, options: FullGossipOptions): SuspicionTimes {
  const { periodMs, suspicionMultiplier, suspicionMaxFactor } = options
  const minMs = suspicionMultiplier * Math.max(1, Math.log10(nodes)) * periodMs
  // Neither the suspect nor its first accuser can confirm it.
  return { minMs, maxMs: suspicionMaxFactor * minMs, confirmations: Math.max(0, Math.min(3, nodes - 2)) }
}

interface Suspicion {
  readonly incarnation: number
  sinceMs: number
  readonly times: SuspicionTimes
  dueMs: number
}

/** The suspects of this node, and when it will take each for dead. */
export class Suspicions {
  readonly #suspicions = new Map<string, Suspicion>()

  get nextMs(): number {
    let nextMs = Number.POSITIVE_INFINITY
    for (const { dueMs } of this.#suspicions.values()) nextMs = Math.min(nextMs, dueMs)
    return nextMs
  }

  /** `accusers` say that this incarnation of the node is gone. */
  accuse(suspect: { node: string; incarnation: number; accusers: number }, at: SuspicionAt): void {
    const { node, incarnation, accusers } = suspect
    let suspicion = this.#suspicions.get(node)
    if (suspicion?.incarnation !== incarnation) {
      suspicion = { incarnation, sinceMs: at.nowMs, times: at.times, dueMs: 0 }
      this.#suspicions.set(node, suspicion)
    }
    suspicion.dueMs = suspicion.sinceMs + suspicionMs(suspicion.times, accusers - 1)
  }

  clear(node: string): void {
    this.#suspicions.delete(node)
  }

  /** Gives everybody `ms` more: this node could not hear them. */
  postpone(ms: number): void {
    for (const suspicion of this.#suspicions.values()) {
      suspicion.sinceMs += ms
      suspicion.dueMs += ms
    }
  }

  /** Those whose time is over. */
  takeDue(nowMs: number): string[] {
    const due: string[] = []
    for (const [node, { dueMs }] of this.#suspicions) if (dueMs <= nowMs) due.push(node)
    for (const node of due) this.#suspicions.delete(node)
    return due
  }
}

export interface SuspicionAt {
  readonly nowMs: number
  readonly times: SuspicionTimes
}
