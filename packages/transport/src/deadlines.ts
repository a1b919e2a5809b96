import type { Clock, Timer } from '@atoll/core'

/** Something that ends at a time unless it is removed before. */
export interface Expiring {
  /** Where `Deadlines` keeps it; nobody else touches this. */
  bucket: Set<Expiring> | undefined
  expire(): void
}

const LEAST_WIDTH_MS = 4

interface Bucket {
  readonly items: Set<Expiring>
  readonly timer: Timer
}

/**
 * Many deadlines on few timers. A timer for each call would cost more than the rest of the call; so deadlines are
 * rounded up to buckets of 4 ms or at most 1/64 of the delay, with one timer per bucket. Nothing expires early. A call
 * that ends in time costs one entry of a set, and its bucket's timer stays to serve the calls to come.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #buckets = new Map<number, Bucket>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(item: Expiring, nowMs: number, delayMs: number): void {
    const width = widthMs(delayMs)
    const dueMs = Math.ceil((nowMs + delayMs) / width) * width
    const items = (this.#buckets.get(dueMs) ?? this.#create(dueMs, dueMs - nowMs)).items
    items.add(item)
    item.bucket = items
  }

  remove(item: Expiring): void {
    item.bucket?.delete(item)
    item.bucket = undefined
  }

  /** Forgets all of them, and cancels every timer. */
  clear(): void {
    for (const bucket of this.#buckets.values()) bucket.timer.cancel()
    this.#buckets.clear()
  }

  #create(dueMs: number, delayMs: number): Bucket {
    const items = new Set<Expiring>()
    const fire = () => {
      this.#buckets.delete(dueMs)
      for (const item of items) {
        this.remove(item)
        item.expire()
      }
    }
    const bucket = { items, timer: this.#clock.timer(delayMs, fire, { background: true }) }
    this.#buckets.set(dueMs, bucket)
    return bucket
  }
}

/** The width of the buckets for a delay: a power of two, so that buckets of different delays coincide. */
function widthMs(delayMs: number): number {
  const steps = delayMs / (64 * LEAST_WIDTH_MS)
  return steps < 2 ? LEAST_WIDTH_MS : LEAST_WIDTH_MS << (31 - Math.clz32(steps))
}
