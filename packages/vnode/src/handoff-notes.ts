import { AtollError, decodeWith, encodeWith, isAtollError, type TupleCodec } from '@atoll/core'
import { type Crc32, seal, unseal } from './seal.ts'

/** How far a vnode is on its way to another node, as it is written down. */
export interface TransferNote {
  readonly to: string
  readonly phase: 'copy' | 'catch-up' | 'sealed'
  /** The last record that the other node has; undefined before the first. */
  readonly cursor: Uint8Array | undefined
  /** True if this node never owned the vnode, but gives back what was handed over to it. */
  readonly isReturn: boolean
}

const PHASES = ['copy', 'catch-up', 'sealed'] as const

const transferCodec: TupleCodec<TransferNote> = {
  name: 'the note of a transfer',
  version: 1,
  encode: ({ to, phase, cursor, isReturn }) => [to, PHASES.indexOf(phase), cursor ?? null, isReturn],
  decode: (reader) => {
    const to = reader.string()
    const phase = PHASES[reader.uint()]
    if (phase === undefined) throw new AtollError('ATOLL_CORRUPT', 'a transfer has no such phase')
    const cursor = reader.optional((field) => field.bytes())
    return { to, phase, cursor, isReturn: reader.boolean() }
  },
}

const cursorCodec: TupleCodec<Uint8Array> = {
  name: 'the note of a refill',
  version: 1,
  encode: (cursor) => [cursor],
  decode: (reader) => reader.bytes(),
}

export function packTransfer(key: Uint8Array, note: TransferNote, crc32: Crc32): Uint8Array {
  return seal(key, encodeWith(transferCodec, note), crc32)
}

/** Undefined for a note that is damaged: then the transfer begins anew. */
export function openTransfer(key: Uint8Array, stored: Uint8Array, crc32: Crc32): TransferNote | undefined {
  return openNote(() => decodeWith(transferCodec, unseal(key, stored, crc32)))
}

export function packCursor(key: Uint8Array, cursor: Uint8Array, crc32: Crc32): Uint8Array {
  return seal(key, encodeWith(cursorCodec, cursor), crc32)
}

/** Undefined for a note that is damaged: then the refill begins anew. */
export function openCursor(key: Uint8Array, stored: Uint8Array, crc32: Crc32): Uint8Array | undefined {
  return openNote(() => decodeWith(cursorCodec, unseal(key, stored, crc32)))
}

function openNote<T>(open: () => T): T | undefined {
  try {
    return open()
  } catch (error) {
    if (isAtollError(error, 'ATOLL_CORRUPT')) return undefined
    throw error
  }
}
