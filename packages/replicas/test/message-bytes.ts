import type { StoredRecord } from '@atoll/causality'
import { decodeWith, encodeTuple } from '@atoll/core'
import type { Message, MessageCodec } from '@atoll/transport'
import { content } from '../../vnode/test/world.ts'

export const RECORD: StoredRecord = {
  clock: new Map([['00000000000000aa', 7]]),
  siblings: [
    {
      ...content('value', { metadata: new Map([['a', 'b']]) }),
      dot: { actor: '00000000000000aa', counter: 7 },
      valueCrc32: 494_360_628,
      timestampMs: 1_700_000_000_000,
      writeId: new Uint8Array(16).fill(1),
    },
  ],
}

/** A message as one text, as golden files have it. */
export function bytesOf({ tuple, body }: Message): Uint8Array {
  return encodeTuple(1, [[...tuple], body ?? null])
}

/** What a codec reads of it. Throws for a field that is left. */
export function messageIn<T>(bytes: Uint8Array, codec: MessageCodec<T>): T {
  return decodeWith(
    {
      name: 'a message',
      version: 1,
      encode: () => [],
      decode: (reader) => {
        const tuple = reader.tuple()
        const body = reader.optional((field) => field.bytes())
        const value = codec.decode(tuple, body ?? new Uint8Array(0))
        tuple.end()
        return value
      },
    },
    bytes,
  )
}
