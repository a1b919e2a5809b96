import { decodeWith, encodeWith, LATEST_WALL_MS, type TupleCodec } from '@atoll/core'
import { damaged, packVector, unpackVector } from './actors.ts'
import type { CausalContext, RecordHead } from './record.ts'

/** Leaves room for 10^12 writes that replace each other, and keeps stamps within the integers. */
const MAX_TIMESTAMP_MS = LATEST_WALL_MS + 2 ** 40

/** What a reader of `record` has seen. */
export function contextOf(record: RecordHead): CausalContext {
  const timestampMs = record.siblings.reduce((last, sibling) => Math.max(last, sibling.timestampMs), 0)
  return { vector: record.clock, timestampMs }
}

const contextCodec: TupleCodec<CausalContext> = {
  name: 'the context',
  version: 1,
  encode: ({ vector, timestampMs }) => {
    const { actors, counters } = packVector(vector)
    return [timestampMs, actors, counters]
  },
  decode: (reader) => {
    const timestampMs = reader.uint()
    if (timestampMs > MAX_TIMESTAMP_MS) throw damaged('the context', 'its time is out of range')
    const actors = reader.bytes()
    const counters = reader.list((item) => item.uint())
    return { vector: unpackVector('the context', { actors, counters }), timestampMs }
  },
}

/** Bytes that a client keeps and hands back without looking inside. Begins with a version byte. */
export function encodeContext(context: CausalContext): Uint8Array {
  return encodeWith(contextCodec, context)
}

/** Throws `ATOLL_CORRUPT` for bytes that are no context, and `ATOLL_FORMAT` for those of a newer version. */
export function decodeContext(bytes: Uint8Array): CausalContext {
  return decodeWith(contextCodec, bytes)
}
