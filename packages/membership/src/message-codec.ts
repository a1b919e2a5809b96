import type { Ballot } from '@atoll/consensus'
import { AtollError, type TupleReader, type TupleValue, unpackWhole } from '@atoll/core'
import { versioned } from '@atoll/transport'
import { packChange, unpackChange } from './change-codec.ts'
import type {
  AcceptAnswer,
  AcceptRequest,
  Basis,
  Elsewhere,
  JoinAnswer,
  JoinRequest,
  PrepareAnswer,
  PrepareRequest,
  TellAnswer,
  TellRequest,
} from './protocol.ts'

/** The first field of every message. A peer of a later version is refused, never misread. */
const VERSION = 1

export const prepareRequestCodec = versioned<PrepareRequest>(VERSION, {
  encode: ({ basis, ballot, asForgetful }) => ({
    tuple: [...packBasis(basis), ...packBallot(ballot), ...packMemory(asForgetful)],
  }),
  decode: (reader) => ({
    basis: unpackBasis(reader),
    ballot: unpackBallot(reader),
    ...unpackMemory(reader),
  }),
})

export const prepareAnswerCodec = versioned<PrepareAnswer>(VERSION, {
  encode: (answer) => {
    if (answer.kind !== 'promise') return packRefusal(answer)
    const { accepted } = answer
    if (accepted === undefined) return { tuple: ['promise', null] }
    return { tuple: ['promise', packBallot(accepted.ballot)], body: accepted.value }
  },
  decode: (reader, body) => {
    const kind = reader.string()
    if (kind !== 'promise') return unpackRefusal(kind, reader, body)
    const ballot = reader.optional((field) => unpackWhole(field.tuple(), unpackBallot))
    return { kind, accepted: ballot === undefined ? undefined : { ballot, value: body.slice() } }
  },
})

/** The value is the body. */
export const acceptRequestCodec = versioned<AcceptRequest>(VERSION, {
  encode: ({ basis, ballot, asForgetful, value }) => ({
    tuple: [...packBasis(basis), ...packBallot(ballot), ...packMemory(asForgetful)],
    body: value,
  }),
  decode: (reader, body) => ({
    basis: unpackBasis(reader),
    ballot: unpackBallot(reader),
    ...unpackMemory(reader),
    value: body.slice(),
  }),
})

export const acceptAnswerCodec = versioned<AcceptAnswer>(VERSION, {
  encode: (answer) => (answer.kind === 'accepted' ? { tuple: ['accepted'] } : packRefusal(answer)),
  decode: (reader, body) => {
    const kind = reader.string()
    return kind === 'accepted' ? { kind } : unpackRefusal(kind, reader, body)
  },
})

/** The document is the body. */
export const tellRequestCodec = versioned<TellRequest>(VERSION, {
  encode: ({ bytes }) => ({ tuple: [], body: bytes }),
  decode: (_, body) => ({ bytes: body.slice() }),
})

export const tellAnswerCodec = versioned<TellAnswer>(VERSION, {
  encode: ({ epoch }) => ({ tuple: [epoch] }),
  decode: (reader) => ({ epoch: reader.uint() }),
})

export const joinRequestCodec = versioned<JoinRequest>(VERSION, {
  encode: ({ change }) => ({ tuple: [packChange(change)] }),
  decode: (reader) => {
    const change = unpackChange(reader.tuple())
    if (change.kind !== 'join') throw corrupt(`a join cannot be a ${change.kind}`)
    return { change }
  },
})

/** The document is the body. */
export const joinAnswerCodec = versioned<JoinAnswer>(VERSION, {
  encode: ({ bytes }) => ({ tuple: [], body: bytes }),
  decode: (_, body) => ({ bytes: body.slice() }),
})

type Refusal = Elsewhere | { readonly kind: 'conflict'; readonly promised: Ballot }

function packRefusal(answer: Refusal): { tuple: readonly TupleValue[]; body?: Uint8Array } {
  if (answer.kind === 'conflict') return { tuple: ['conflict', ...packBallot(answer.promised)] }
  if (answer.kind === 'behind') return { tuple: ['behind'] }
  return { tuple: ['document'], body: answer.bytes }
}

function unpackRefusal(kind: string, reader: TupleReader, body: Uint8Array): Refusal {
  switch (kind) {
    case 'conflict':
      return { kind, promised: unpackBallot(reader) }
    case 'behind':
      return { kind }
    case 'document':
      return { kind, bytes: body.slice() }
    default:
      throw corrupt(`there is no answer "${kind}"`)
  }
}

function packBasis({ clusterId, epoch, digest }: Basis): readonly TupleValue[] {
  return [clusterId, epoch, digest]
}

function unpackBasis(reader: TupleReader): Basis {
  return { clusterId: reader.string(), epoch: reader.uint(), digest: reader.bytes() }
}

function packBallot({ counter, proposer }: Ballot): readonly TupleValue[] {
  return [counter, proposer]
}

function unpackBallot(reader: TupleReader): Ballot {
  return { counter: reader.uint(), proposer: reader.string() }
}

/**
 * A field more only where it says something: programs of an earlier build refuse it, and it goes only to nodes that
 * have asked for it.
 */
function packMemory(asForgetful = false): readonly TupleValue[] {
  return asForgetful ? [true] : []
}

function unpackMemory(reader: TupleReader): { readonly asForgetful?: boolean } {
  return reader.remaining === 0 ? {} : { asForgetful: reader.boolean() }
}

function corrupt(why: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `message cannot be read: ${why}`)
}
