import { fromHex, fromUtf8, utf8 } from '@atoll/core'
import type { Content, Sibling, StoredRecord } from '../src/index.ts'

export const ACTOR_A = '00000000000000aa'
export const ACTOR_B = '00000000000000bb'
export const ACTOR_C = '00000000000000cc'

/** A write identity made from a number. */
export function writeIdOf(number: number): Uint8Array {
  return fromHex(number.toString(16).padStart(32, '0'))
}

export function contentOf(text: string, more: Partial<Content> = {}): Content {
  return {
    value: utf8(text),
    metadata: new Map(),
    tombstone: false,
    expiresAtMs: undefined,
    indexes: [],
    ...more,
  }
}

/** Not CRC-32, but as good for tests: equal values have equal sums, and few others do. */
export function sumOf(value: Uint8Array): number {
  return value.reduce((sum, byte) => (Math.imul(sum, 31) + byte) >>> 0, 7)
}

export function siblingOf(text: string, more: Partial<Sibling> = {}): Sibling {
  const content = contentOf(text)
  return {
    ...content,
    dot: { actor: ACTOR_A, counter: 1 },
    valueCrc32: sumOf(content.value),
    timestampMs: 1000,
    writeId: writeIdOf(1),
    ...more,
  }
}

/** The values of a record, in the order of their dots. */
export function textsOf(record: StoredRecord): string[] {
  return record.siblings.map((sibling) => fromUtf8(sibling.value))
}
