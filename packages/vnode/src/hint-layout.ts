import { concatBytes, fromUtf8, utf8 } from '@atoll/core'
import { endOfSublevel, type KeyRange } from './keys.ts'

/** Whom a hint is for: a node that holds a partition, and missed something of it. */
export interface HintPlace {
  readonly partition: number
  readonly node: string
}

/** What the key of a hint says. */
export interface HintKey extends HintPlace {
  /** Of the ring by which the partition is numbered. */
  readonly partitions: number
  /** That of the record (`nameBytesOf`); empty if the whole partition is meant. */
  readonly name: Uint8Array
}

const PREFIX = '!meta!hint!'
const DIGITS = 4
const SEPARATOR = 0x21

/** All hints of a database: beside its format, so that one look finds them when it is opened. */
export const HINT_RANGE: KeyRange = { gte: utf8(PREFIX), lt: endOfSublevel(utf8(PREFIX)) }

/**
 * What the keys of all hints for one place begin with, which alone is the key of the hint that means the whole
 * partition.
 */
export function hintPrefix({ partition, node }: HintPlace, partitions: number): Uint8Array {
  return utf8(`${PREFIX}${digits(partitions)}${digits(partition)}${node}!`)
}

/** The hints for one place that name a key. */
export function hintKeyRange(place: HintPlace, partitions: number): KeyRange {
  const prefix = hintPrefix(place, partitions)
  return { gte: concatBytes([prefix, new Uint8Array(1)]), lt: endOfSublevel(prefix) }
}

/** All hints of one partition. */
export function hintRangeOf(partition: number, partitions: number): KeyRange {
  const prefix = `${PREFIX}${digits(partitions)}${digits(partition)}`
  return { gte: utf8(prefix), lt: concatBytes([utf8(prefix), new Uint8Array([0xff])]) }
}

export function parseHintKey(key: Uint8Array): HintKey {
  const start = PREFIX.length + 2 * DIGITS
  const end = key.indexOf(SEPARATOR, start)
  return {
    partitions: Number(fromUtf8(key.subarray(PREFIX.length, PREFIX.length + DIGITS))),
    partition: Number(fromUtf8(key.subarray(PREFIX.length + DIGITS, start))),
    node: fromUtf8(key.subarray(start, end)),
    name: key.subarray(end + 1),
  }
}

function digits(count: number): string {
  return count.toString().padStart(DIGITS, '0')
}
