import { compareBytes } from '@atoll/core'

/** A sorted sequence, by the key of its first item; undefined if it has come to its end. */
export interface Sorted {
  readonly first: { readonly head: Uint8Array } | undefined
}

/** A binary heap over sorted sequences: the one with the least first key is on top. */
export class MergeHeap<T extends Sorted> {
  readonly #items: T[] = []

  get top(): T | undefined {
    return this.#items[0]
  }

  /** A sequence without items is left out. */
  push(item: T): void {
    if (item.first === undefined) return
    let at = this.#items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#inOrder(parent, at)) return
      this.#swap(parent, at)
      at = parent
    }
  }

  /** To be called when the top has moved on. */
  sink(): void {
    let at = 0
    for (;;) {
      const least = this.#leastOf(at, 2 * at + 1, 2 * at + 2)
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }

  /** Removes the top. */
  pop(): void {
    const last = this.#items.pop()
    if (last === undefined || this.#items.length === 0) return
    this.#items[0] = last
    this.sink()
  }

  #leastOf(at: number, left: number, right: number): number {
    const least = this.#inOrder(at, left) ? at : left
    return this.#inOrder(least, right) ? least : right
  }

  /** Places without an item are in order with any. */
  #inOrder(a: number, b: number): boolean {
    const first = this.#items[a]?.first
    const second = this.#items[b]?.first
    return first === undefined || second === undefined || compareBytes(first.head, second.head) <= 0
  }

  #swap(a: number, b: number): void {
    const first = this.#items[a]
    const second = this.#items[b]
    if (first === undefined || second === undefined) return
    this.#items[a] = second
    this.#items[b] = first
  }
}
