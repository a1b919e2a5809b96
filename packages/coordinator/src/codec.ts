import type { MergeFunction, MergePolicy } from '@atoll/causality'
import { AtollError, decodeWith, encodeWith, messageOf, type TupleCodec, type TupleReader } from '@atoll/core'
import { type BucketProperties, checkProperties } from './bucket-properties.ts'
import type { Absence, QuorumSize } from './kv.ts'

/** The function that a stored name stands for. */
export type MergeByName = (name: string) => MergeFunction

const NAME = 'the properties of a bucket type'

/**
 * `[n, r, w, dw, pr, pw, notfoundOk, basicQuorum, sloppy, replicate, policy, merge]`; sizes are texts, merge may be
 * null.
 */
const firstCodec = (mergeOf: MergeByName): TupleCodec<BucketProperties> => ({
  name: NAME,
  version: 1,
  encode: ({ n, r, w, dw, pr, pw, notfoundOk, basicQuorum, sloppy, replicate, policy }) => [
    n,
    ...[r, w, dw, pr, pw].map(String),
    notfoundOk,
    basicQuorum,
    sloppy,
    replicate,
    policy.kind,
    policy.kind === 'merge' ? policy.name : null,
  ],
  decode: (reader) => believe(readFirst(reader, mergeOf)),
})

/** The same with `absence` at the end. */
const secondCodec = (mergeOf: MergeByName): TupleCodec<BucketProperties> => ({
  name: NAME,
  version: 2,
  encode: (properties) => [...firstCodec(mergeOf).encode(properties), properties.absence],
  decode: (reader) => believe({ ...readFirst(reader, mergeOf), absence: readAbsence(reader) }),
})

function readFirst(reader: TupleReader, mergeOf: MergeByName): BucketProperties {
  return {
    n: reader.uint(),
    r: readSize(reader),
    w: readSize(reader),
    dw: readSize(reader),
    pr: readSize(reader),
    pw: readSize(reader),
    notfoundOk: reader.boolean(),
    basicQuorum: reader.boolean(),
    sloppy: reader.boolean(),
    replicate: reader.boolean(),
    policy: readPolicy(reader, mergeOf),
    absence: 'primaries',
  }
}

/**
 * Of a merge function its name alone: every node has to register the function under it. What the first version can say is
 * written in it, so that nodes of a program that knows no other go on to serve the type.
 */
export function encodeBucketProperties(properties: BucketProperties): Uint8Array {
  const codec = properties.absence === 'primaries' ? firstCodec : secondCodec
  return encodeWith(codec(unused), properties)
}

/**
 * Throws `ATOLL_CORRUPT` for bytes that are no properties, and `ATOLL_FORMAT` for those of a newer version. Without
 * `mergeOf` a merge function of any name throws when it is called.
 */
export function decodeBucketProperties(bytes: Uint8Array, mergeOf: MergeByName = unused): BucketProperties {
  const codec = bytes[0] === 1 ? firstCodec : secondCodec
  return decodeWith(codec(mergeOf), bytes)
}

function unused(name: string): MergeFunction {
  return () => {
    throw new AtollError('ATOLL_FORMAT', `the merge function "${name}" was not looked up`)
  }
}

function readSize(reader: TupleReader): QuorumSize {
  const text = reader.string()
  if (text === 'one' || text === 'quorum' || text === 'all') return text
  if (/^\d{1,2}$/.test(text)) return Number(text)
  throw corrupt(`a quorum should be a number, one, quorum or all, got "${text}"`)
}

function readAbsence(reader: TupleReader): Absence {
  const text = reader.string()
  if (text === 'primaries' || text === 'any') return text
  throw corrupt(`absence should be primaries or any, got "${text}"`)
}

function readPolicy(reader: TupleReader, mergeOf: MergeByName): MergePolicy {
  const kind = reader.string()
  const name = reader.optional((item) => item.string())
  if (kind === 'merge' && name !== undefined) return { kind, name, merge: mergeOf(name) }
  if (name === undefined && (kind === 'siblings' || kind === 'last-write-wins' || kind === 'write-once'))
    return { kind }
  throw corrupt(`there is no policy "${kind}"${name === undefined ? '' : ` with the function "${name}"`}`)
}

function believe(properties: BucketProperties): BucketProperties {
  try {
    return checkProperties(properties)
  } catch (error) {
    throw corrupt(messageOf(error))
  }
}

function corrupt(why: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `${NAME} cannot be read: ${why}`)
}
