import type { StoredRecord } from '@atoll/causality'
import { AtollError, assert } from '@atoll/core'
import type { Extent } from './envelope.ts'

/** A record as it is written. */
export interface Written extends Extent {
  readonly record: StoredRecord
}

/** A record that is on its way to the disk. */
export interface PendingWrite extends Written {
  /** Settles with the batch that carries the record. */
  readonly durable: Promise<void>
}

interface Slot {
  busy: boolean
  readonly waiting: (() => void)[]
  pending: PendingWrite | undefined
}

/**
 * One decision at a time for each key, in the order of arrival; different keys do not wait for each other. A decision
 * is over when its write is queued, not when it is durable: the next one starts from the pending record in memory and
 * joins the next batch, so a hot key costs a sync for many writes and not for each.
 */
export class KeyOrder {
  readonly #slots = new Map<string, Slot>()
  readonly #maxWaiting: number
  readonly #onSettled: (key: string) => void

  /**
   * `maxWaiting` decisions wait for one key; one more is refused with `ATOLL_OVERLOADED`. `onSettled` is called when a
   * write of a key has come to an end: before anybody goes on who has waited for that.
   */
  constructor(maxWaiting: number, onSettled: (key: string) => void = () => {}) {
    this.#maxWaiting = maxWaiting
    this.#onSettled = onSettled
  }

  async run<T>(key: string, decide: () => Promise<T>): Promise<T> {
    const turn = this.enter(key)
    if (turn !== undefined) await turn
    try {
      return await decide()
    } finally {
      this.leave(key)
    }
  }

  /** Whether somebody decides on the key. Who does so at once, without any wait, need not `enter`. */
  isBusy(key: string): boolean {
    return this.#slots.get(key)?.busy === true
  }

  /** Begins a decision, at once or when the promise resolves. Who has begun calls `leave` in the end. */
  enter(key: string): Promise<void> | undefined {
    const slot = this.#slots.get(key) ?? this.#newSlot(key)
    if (slot.busy) return this.#turn(slot)
    slot.busy = true
    return undefined
  }

  leave(key: string): void {
    const slot = this.#slots.get(key)
    assert(slot !== undefined, 'a key whose turn it is has a slot')
    const next = slot.waiting.shift()
    // The turn is handed over, not given up: whoever arrives in between goes behind.
    if (next === undefined) slot.busy = false
    else next()
    this.#sweep(key, slot)
  }

  /** Whether nothing is decided, and nothing on its way to the disk. */
  get isEmpty(): boolean {
    return this.#slots.size === 0
  }

  pending(key: string): PendingWrite | undefined {
    return this.#slots.get(key)?.pending
  }

  /**
   * To be called within the decision on `key`. The record is what the next decision starts from until it is durable: until
   * `write` calls back, which it does when the batch has come to its end, before anybody hears of that.
   */
  hold(
    key: string,
    { record, bytes, bodyBytes }: Written,
    write: (onOver: () => void) => Promise<void>,
  ): Promise<void> {
    const slot = this.#slots.get(key) ?? this.#newSlot(key)
    const durable = write(() => {
      this.#onSettled(key)
      if (slot.pending === pending) slot.pending = undefined
      this.#sweep(key, slot)
    })
    const pending = { record, bytes, bodyBytes, durable }
    slot.pending = pending
    return durable
  }

  /** Forgets every pending record, at once: the batch that carries them has failed. */
  dropPending(): void {
    for (const slot of this.#slots.values()) slot.pending = undefined
  }

  #turn(slot: Slot): Promise<void> {
    if (slot.waiting.length >= this.#maxWaiting) {
      const message = `${this.#maxWaiting} writes wait for this key already`
      return Promise.reject(new AtollError('ATOLL_OVERLOADED', message))
    }
    return new Promise((resolve) => slot.waiting.push(resolve))
  }

  #newSlot(key: string): Slot {
    const slot: Slot = { busy: false, waiting: [], pending: undefined }
    this.#slots.set(key, slot)
    return slot
  }

  #sweep(key: string, slot: Slot): void {
    if (!slot.busy && slot.pending === undefined && this.#slots.get(key) === slot) this.#slots.delete(key)
  }
}
