import { compareBytes } from '@atoll/core'

/** One stored pair. Every version of a map that holds it shares it, as they would share the place on a disk. */
export interface Entry {
  readonly key: Uint8Array
  value: Uint8Array
}

export interface Bound {
  readonly key: Uint8Array
  readonly inclusive: boolean
}

export interface Range {
  readonly lower: Bound | undefined
  readonly upper: Bound | undefined
  readonly reverse: boolean
  readonly limit: number
}

interface Tree {
  readonly entry: Entry
  readonly left: Tree | undefined
  readonly right: Tree | undefined
  readonly size: number
  readonly bytes: number
}

/** Weights of a balanced pair of subtrees: (3, 2) keeps insertions and deletions logarithmic (Hirai and Yamamoto, 2011). */
const DELTA = 3
const RATIO = 2

/** An immutable map ordered by the bytes of its keys: a weight-balanced tree. A change makes a new map in O(log n). */
export class OrderedMap {
  static readonly EMPTY = new OrderedMap(undefined)
  readonly #root: Tree | undefined

  private constructor(root: Tree | undefined) {
    this.#root = root
  }

  get size(): number {
    return sizeOf(this.#root)
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    return this.#root?.bytes ?? 0
  }

  get(key: Uint8Array): Entry | undefined {
    let tree = this.#root
    while (tree !== undefined) {
      const order = compareBytes(key, tree.entry.key)
      if (order === 0) return tree.entry
      tree = order < 0 ? tree.left : tree.right
    }
    return undefined
  }

  /** The entry of this rank, from 0. */
  at(rank: number): Entry | undefined {
    let tree = this.#root
    while (tree !== undefined) {
      const before = sizeOf(tree.left)
      if (rank === before) return tree.entry
      if (rank < before) tree = tree.left
      else {
        rank -= before + 1
        tree = tree.right
      }
    }
    return undefined
  }

  with(entry: Entry): OrderedMap {
    return new OrderedMap(insert(this.#root, entry))
  }

  without(key: Uint8Array): OrderedMap {
    const root = remove(this.#root, key)
    return root === this.#root ? this : new OrderedMap(root)
  }

  /** The entries in the range, in its direction, up to its limit. */
  range(range: Range): Entry[] {
    const entries: Entry[] = []
    collect(this.#root, range, entries)
    return entries
  }
}

/** True if the key is not below the lower bound, nor above the upper one. */
export function isWithin(key: Uint8Array, { lower, upper }: Pick<Range, 'lower' | 'upper'>): boolean {
  return isAbove(key, lower) && isBelow(key, upper)
}

function isAbove(key: Uint8Array, bound: Bound | undefined): boolean {
  if (bound === undefined) return true
  const order = compareBytes(key, bound.key)
  return bound.inclusive ? order >= 0 : order > 0
}

function isBelow(key: Uint8Array, bound: Bound | undefined): boolean {
  if (bound === undefined) return true
  const order = compareBytes(key, bound.key)
  return bound.inclusive ? order <= 0 : order < 0
}

function collect(tree: Tree | undefined, range: Range, out: Entry[]): void {
  if (tree === undefined || out.length >= range.limit) return
  const above = isAbove(tree.entry.key, range.lower)
  const below = isBelow(tree.entry.key, range.upper)
  const { reverse } = range
  if (reverse ? below : above) collect(reverse ? tree.right : tree.left, range, out)
  if (above && below && out.length < range.limit) out.push(tree.entry)
  if (reverse ? above : below) collect(reverse ? tree.left : tree.right, range, out)
}

function insert(tree: Tree | undefined, entry: Entry): Tree {
  if (tree === undefined) return join(entry, undefined, undefined)
  const order = compareBytes(entry.key, tree.entry.key)
  if (order === 0) return join(entry, tree.left, tree.right)
  return order < 0
    ? balance(tree.entry, insert(tree.left, entry), tree.right)
    : balance(tree.entry, tree.left, insert(tree.right, entry))
}

function remove(tree: Tree | undefined, key: Uint8Array): Tree | undefined {
  if (tree === undefined) return undefined
  const { entry, left, right } = tree
  const order = compareBytes(key, entry.key)
  if (order === 0) return right === undefined ? left : balance(first(right), left, withoutFirst(right))
  const smaller = remove(order < 0 ? left : right, key)
  if (smaller === (order < 0 ? left : right)) return tree
  return order < 0 ? balance(entry, smaller, right) : balance(entry, left, smaller)
}

function first(tree: Tree): Entry {
  let at = tree
  while (at.left !== undefined) at = at.left
  return at.entry
}

function withoutFirst(tree: Tree): Tree | undefined {
  return tree.left === undefined ? tree.right : balance(tree.entry, withoutFirst(tree.left), tree.right)
}

/** Joins subtrees of which one has an entry more or less than when they were in balance. */
function balance(entry: Entry, left: Tree | undefined, right: Tree | undefined): Tree {
  if (right !== undefined && isHeavier(right, left)) {
    const inner = right.left
    return inner === undefined || isSingle(inner, right.right)
      ? join(right.entry, join(entry, left, inner), right.right)
      : join(inner.entry, join(entry, left, inner.left), join(right.entry, inner.right, right.right))
  }
  if (left !== undefined && isHeavier(left, right)) {
    const inner = left.right
    return inner === undefined || isSingle(inner, left.left)
      ? join(left.entry, left.left, join(entry, inner, right))
      : join(inner.entry, join(left.entry, left.left, inner.left), join(entry, inner.right, right))
  }
  return join(entry, left, right)
}

function isHeavier(tree: Tree, than: Tree | undefined): boolean {
  return tree.size + 1 > DELTA * (sizeOf(than) + 1)
}

function isSingle(inner: Tree | undefined, outer: Tree | undefined): boolean {
  return sizeOf(inner) + 1 < RATIO * (sizeOf(outer) + 1)
}

function join(entry: Entry, left: Tree | undefined, right: Tree | undefined): Tree {
  const size = sizeOf(left) + sizeOf(right) + 1
  const own = entry.key.length + entry.value.length
  return { entry, left, right, size, bytes: own + (left?.bytes ?? 0) + (right?.bytes ?? 0) }
}

function sizeOf(tree: Tree | undefined): number {
  return tree?.size ?? 0
}
