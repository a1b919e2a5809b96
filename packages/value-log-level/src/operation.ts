import { storedBytes } from './checksum.ts'
import type { Pointer } from './pointer.ts'

export const OP_SMALL = 1
export const OP_DELETE = 2
export const OP_LARGE = 3
/** A large value copied by compaction: valid only if its key still points to where it was copied from. */
export const OP_MOVE = 4
export type OpType = typeof OP_SMALL | typeof OP_DELETE | typeof OP_LARGE | typeof OP_MOVE

/**
 * How many bytes the value may have that a write takes the place of, as far as its writer knows; undefined if it does
 * not know.
 */
export type Replaces = number | undefined

/** An operation on its way to the log. */
export type Op =
  | {
      readonly type: typeof OP_SMALL
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly replaces: Replaces
    }
  | {
      readonly type: typeof OP_LARGE
      readonly key: Uint8Array
      readonly value: Uint8Array
      /** The rest of the value, if it comes in two parts; the first is shorter than a chunk then. */
      readonly tail: Uint8Array | undefined
      readonly tailCrc32: number | undefined
      readonly replaces: Replaces
    }
  | { readonly type: typeof OP_DELETE; readonly key: Uint8Array; readonly replaces: Replaces }
  | {
      readonly type: typeof OP_MOVE
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly from: Pointer
    }

/** An operation that is in the log, as the inner database needs it. */
export interface LoggedOp {
  readonly type: OpType
  /** The key in the inner database. */
  readonly key: Uint8Array
  /** The same as a string, byte by byte: for maps. */
  readonly id: string
  /** What the inner database holds for a small value. */
  readonly inline: Uint8Array | undefined
  /** Where a large value lies. */
  readonly pointer: Pointer | undefined
  /** Where a moved value was. */
  readonly from: Pointer | undefined
  /** Not in the log: unknown of what is read from there. */
  readonly replaces: Replaces
}

/** Bytes an operation takes in the head of a record. */
export function metaBytesOf(op: Op): number {
  const keyed = 1 + 4 + 1 + op.key.length
  if (op.type === OP_DELETE) return keyed
  if (op.type === OP_SMALL) return keyed + 4 + 1 + op.value.length
  return keyed + 6 + (op.type === OP_MOVE ? 22 : 0)
}

/** Bytes an operation takes behind the head. */
export function bodyBytesOf(op: Op): number {
  if (op.type === OP_MOVE) return storedBytes(op.value.length)
  return op.type === OP_LARGE ? storedBytes(lengthOf(op)) : 0
}

export function lengthOf({ value, tail }: { value: Uint8Array; tail: Uint8Array | undefined }): number {
  return tail === undefined ? value.length : value.length + tail.length
}
