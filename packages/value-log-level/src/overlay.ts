import { equalBytes } from '@atoll/core'
import { type LoggedOp, OP_MOVE } from './operation.ts'
import { decodeStored, keyId, type Stored } from './pointer.ts'

interface Recent {
  readonly stored: Stored | undefined
  readonly sequence: number
}

interface Written {
  readonly ops: readonly LoggedOp[]
  readonly sequence: number
}

/** Writes of keys of one class: those that are not in the map yet, each with the sequence of its record. */
interface Class {
  readonly recent: Map<string, Recent>
  unread: LoggedOp[]
  sequences: number[]
}

/** Writes that were acknowledged between two times that the inner database was told of some. */
interface Generation {
  /** By `classOf` their keys; those that nobody has put there yet are in `unsorted`. */
  readonly classes: (Class | undefined)[]
  unsorted: Written[]
  newest: number
}

/**
 * Keys of one class have a few bytes in common that stand near their beginning. Who looks for a key looks at writes of its
 * class, and leaves all others as they are: most are gone before anyone asks for them.
 */
const CLASSES = 64
const FIRST_BYTE = 2
const LAST_BYTE = 5

function classOf(innerKey: Uint8Array): number {
  let mix = 0
  for (let at = FIRST_BYTE; at <= LAST_BYTE; at++) mix = 10 * mix + (innerKey[at] ?? 0)
  return mix % CLASSES
}

/**
 * Writes that were acknowledged before they reached the inner database, for that moment. They are looked through when
 * somebody reads: most are gone before anyone does. They go as a generation, when the inner database has all of it.
 */
export class Overlay {
  /** The oldest first. */
  #generations: Generation[] = []
  #newest = 0
  #applied = 0
  /** The inner database has got something since the youngest generation began. */
  #isNextDue = true

  get isEmpty(): boolean {
    return this.#generations.length === 0
  }

  /** The youngest record that was ever acknowledged, wholly or in part. */
  get newest(): number {
    return this.#newest
  }

  /** Adds all operations of a record, or some: then all of them may follow. */
  add(ops: readonly LoggedOp[], sequence: number): void {
    const generation = this.#youngest()
    generation.unsorted.push({ ops, sequence })
    generation.newest = Math.max(generation.newest, sequence)
    this.#newest = Math.max(this.#newest, sequence)
  }

  /** What was written under the key of the inner database; `undefined` if it must be asked. */
  find(innerKey: Uint8Array): { readonly stored: Stored | undefined } | undefined {
    if (this.isEmpty) return undefined
    const number = classOf(innerKey)
    let found: Recent | undefined
    for (const generation of this.#generations) {
      if (generation.unsorted.length > 0) sort(generation)
      const those = generation.classes[number]
      if (those === undefined) continue
      const recent = latestOf(those, innerKey)
      if (recent !== undefined && recent.sequence >= (found?.sequence ?? 0)) found = recent
    }
    // What the inner database has is read there: the value may have been moved since.
    return found !== undefined && found.sequence > this.#applied ? found : undefined
  }

  /** The inner database has all records up to `sequence` now. */
  applied(sequence: number): void {
    this.#applied = Math.max(this.#applied, sequence)
    this.#generations = this.#generations.filter(({ newest }) => newest > this.#applied)
    this.#isNextDue = true
  }

  #youngest(): Generation {
    const last = this.#generations.at(-1)
    if (last !== undefined && !this.#isNextDue) return last
    this.#isNextDue = false
    const classes = new Array<Class | undefined>(CLASSES).fill(undefined)
    const generation: Generation = { classes, unsorted: [], newest: 0 }
    this.#generations.push(generation)
    return generation
  }
}

/** A move is not a write: whether it counts is known when it is applied, and until then the old place is good. */
function sort(generation: Generation): void {
  for (const { ops, sequence } of generation.unsorted) {
    for (const op of ops) {
      if (op.type === OP_MOVE) continue
      const number = classOf(op.key)
      const those = generation.classes[number] ?? newClass(generation, number)
      those.unread.push(op)
      those.sequences.push(sequence)
    }
  }
  generation.unsorted = []
}

function newClass({ classes }: Generation, number: number): Class {
  const those: Class = { recent: new Map(), unread: [], sequences: [] }
  classes[number] = those
  return those
}

/** Few are gone through, and more than that put into the map first. */
const MOST_UNREAD = 8

function latestOf(those: Class, innerKey: Uint8Array): Recent | undefined {
  if (those.unread.length > MOST_UNREAD) index(those)
  const known = those.recent.size === 0 ? undefined : those.recent.get(keyId(innerKey))
  return latestUnread(those, innerKey, known)
}

function latestUnread(
  { unread, sequences }: Class,
  innerKey: Uint8Array,
  known: Recent | undefined,
): Recent | undefined {
  let latest = known
  for (let at = 0; at < unread.length; at++) {
    const [op, sequence = 0] = [unread[at], sequences[at]]
    if (op === undefined || sequence < (latest?.sequence ?? 0) || !equalBytes(op.key, innerKey)) continue
    latest = recentOf(op, sequence)
  }
  return latest
}

function recentOf({ inline, pointer }: LoggedOp, sequence: number): Recent {
  return { stored: inline === undefined ? pointer : decodeStored(inline), sequence }
}

function index(those: Class): void {
  const { recent, unread, sequences } = those
  for (let at = 0; at < unread.length; at++) {
    const [op, sequence = 0] = [unread[at], sequences[at]]
    if (op === undefined) continue
    if ((recent.get(op.id)?.sequence ?? 0) <= sequence) recent.set(op.id, recentOf(op, sequence))
  }
  those.unread = []
  those.sequences = []
}
