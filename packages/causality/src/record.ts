import { isBytes } from '@atoll/core'
/** A vnode incarnation that may write: 16 lowercase hexadecimal digits. Ordered as text. */
export type ActorId = string

/** The name of one write: the `counter`-th event of `actor`. Counters of an actor only grow, but may skip. */
export interface Dot {
  readonly actor: ActorId
  /** From 1. */
  readonly counter: number
}

/** For every actor, the highest counter of which all earlier writes to this key are known. */
export type VersionVector = ReadonlyMap<ActorId, number>

/**
 * What a reader has seen of a key, handed back with its next write. `timestampMs` carries the largest timestamp seen,
 * so that a write is later than everything it replaces even when wall clocks are not.
 */
export interface CausalContext {
  readonly vector: VersionVector
  readonly timestampMs: number
}

/** One entry of an ordered index, written in the same batch as the record that it comes from. */
export interface IndexEntry {
  /** Name of the index, such as "list". */
  readonly index: string
  /** What a scan is confined to, such as a bucket. */
  readonly scope: Uint8Array
  /** What a scan is ordered by within its scope. */
  readonly term: Uint8Array
  /** What a scan answers without reading the record. Small. */
  readonly payload: Uint8Array
}

/** What a client writes. */
export interface Content {
  readonly value: Uint8Array
  readonly metadata: ReadonlyMap<string, string>
  readonly tombstone: boolean
  /** Wall time from which the value counts as absent; `undefined` for never. */
  readonly expiresAtMs: number | undefined
  readonly indexes: readonly IndexEntry[]
}

/** One value of a key, beside which others may stand that were written without knowing of it. */
export interface Sibling extends Content {
  readonly dot: Dot
  /** CRC-32 of `value`, computed once by whoever brought the value in. */
  readonly valueCrc32: number
  /** Hybrid logical time of the write: at least the wall clock's, and later than all that it replaced. */
  readonly timestampMs: number
  /** Identity of the client's write (16 bytes): two siblings with the same one are the same write, retried. */
  readonly writeId: Uint8Array
}

/** What the head of a record says of one value: all but its bytes. A sibling is one, too. */
export interface SiblingHead extends Omit<Sibling, 'value'> {
  readonly value: Pick<Uint8Array, 'length'>
}

/** One value with all that its head says. Made field by field, always in this order, so that all siblings have one shape. */
export function siblingOf(value: Uint8Array, head: Omit<Sibling, 'value'>): Sibling {
  const { metadata, tombstone, expiresAtMs, indexes, dot, valueCrc32, timestampMs, writeId } = head
  return { value, metadata, tombstone, expiresAtMs, indexes, dot, valueCrc32, timestampMs, writeId }
}

/** A record of which the siblings have their values, or only say how long these are. */
export interface RecordOf<S extends SiblingHead> {
  readonly clock: VersionVector
  /** In the order of their dots. */
  readonly siblings: readonly S[]
}

/** What a vnode stores under a key. */
export interface StoredRecord extends RecordOf<Sibling> {}

/** What is known of a record without its values. A record is one, too; some of its values may be there, and others not. */
export interface RecordHead extends RecordOf<SiblingHead> {}

/** Whether the value of a sibling is there. */
export function hasBytes(sibling: SiblingHead): sibling is Sibling {
  return isBytes(sibling.value)
}

/** Whether all values of a record are there. */
export function isWhole(record: RecordHead): record is StoredRecord {
  return record.siblings.every(hasBytes)
}

/** Of a key that was never written. */
export const EMPTY_RECORD: StoredRecord = { clock: new Map(), siblings: [] }
