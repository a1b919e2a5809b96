import { type Entry, OrderedMap } from './ordered-map.ts'

export type Operation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

/**
 * What is on a disk: the version that a power cut cannot take, and the versions after it, one for each batch that was
 * written and not synced. A sync makes the last one durable, as it does with a log.
 */
export class DiskImage {
  readonly #maxUnsynced: number
  #durable = OrderedMap.EMPTY
  #unsynced: OrderedMap[] = []
  /** What is read since a write has left half a record: everything behind it is here alone, and gone at the next open. */
  #behindTear: OrderedMap | undefined

  constructor(maxUnsynced: number) {
    this.#maxUnsynced = maxUnsynced
  }

  get current(): OrderedMap {
    return this.#behindTear ?? this.#whole
  }

  /** What the next open finds, if the power stays on. */
  get #whole(): OrderedMap {
    return this.#unsynced.at(-1) ?? this.#durable
  }

  get unsynced(): number {
    return this.#unsynced.length
  }

  replace(map: OrderedMap, sync: boolean): void {
    if (this.#behindTear !== undefined) {
      if (sync) this.#settle(this.#whole)
      this.#behindTear = map
      return
    }
    if (sync) {
      this.#settle(map)
      return
    }
    this.#unsynced.push(map)
    const oldest = this.#unsynced.length > this.#maxUnsynced ? this.#unsynced.shift() : undefined
    if (oldest !== undefined) this.#durable = oldest
  }

  /** A write has left half a record in the log. */
  tear(): void {
    this.#behindTear = this.current
  }

  /** The database is read from the disk anew. */
  reopen(): void {
    this.#behindTear = undefined
  }

  /** Forgets all unsynced batches but the first `kept`. What is left is durable. */
  lose(kept: number): void {
    this.#settle(this.#unsynced[kept - 1] ?? this.#durable)
  }

  wipe(): void {
    this.restore(OrderedMap.EMPTY)
  }

  /** Puts another content in the place of this one. */
  restore(map: OrderedMap): void {
    this.#settle(map)
    this.#behindTear = undefined
  }

  #settle(map: OrderedMap): void {
    this.#durable = map
    this.#unsynced = []
  }
}

/** The map after a batch, which holds on to the keys and values of its operations. */
export function applyBatch(map: OrderedMap, operations: readonly Operation[]): OrderedMap {
  for (const operation of operations) {
    if (operation.type === 'del') map = map.without(operation.key)
    else map = map.with({ key: operation.key, value: operation.value })
  }
  return map
}

/** Flips one bit of a stored value, in every version that holds it. An empty value has none. */
export function flipBit(entry: Entry, bit: number): void {
  const value = new Uint8Array(entry.value)
  value[bit >> 3] = (value[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  entry.value = value
}
