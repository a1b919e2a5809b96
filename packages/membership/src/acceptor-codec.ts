import type { AcceptorState, Ballot, Proposal } from '@atoll/consensus'
import { decodeWith, encodeWith, type TupleCodec, type TupleReader, type TupleValue } from '@atoll/core'

/** What an acceptor keeps: its state for the epoch after one document. That of an earlier epoch is of no use any more. */
export interface KeptAcceptor {
  readonly epoch: number
  /** Of the document. */
  readonly digest: Uint8Array
  readonly state: AcceptorState
}

const acceptorCodec: TupleCodec<KeptAcceptor> = {
  name: 'acceptor of the cluster document',
  version: 1,
  encode: ({ epoch, digest, state: { promised, accepted } }) => [
    epoch,
    digest,
    promised === undefined ? null : packBallot(promised),
    accepted === undefined ? null : [...packBallot(accepted.ballot), accepted.value],
  ],
  decode: (reader) => ({
    epoch: reader.uint(),
    digest: reader.bytes(),
    state: {
      promised: reader.optional((field) => unpackBallot(field.tuple())),
      accepted: reader.optional((field) => unpackProposal(field.tuple())),
    },
  }),
}

export function encodeAcceptor(kept: KeptAcceptor): Uint8Array {
  return encodeWith(acceptorCodec, kept)
}

/** Throws `ATOLL_CORRUPT`, and `ATOLL_FORMAT` for bytes of a newer version. */
export function decodeAcceptor(bytes: Uint8Array): KeptAcceptor {
  return decodeWith(acceptorCodec, bytes)
}

function packBallot({ counter, proposer }: Ballot): readonly TupleValue[] {
  return [counter, proposer]
}

function unpackBallot(reader: TupleReader): Ballot {
  const ballot = { counter: reader.uint(), proposer: reader.string() }
  reader.end()
  return ballot
}

function unpackProposal(reader: TupleReader): Proposal {
  const proposal = {
    ballot: { counter: reader.uint(), proposer: reader.string() },
    value: reader.bytes(),
  }
  reader.end()
  return proposal
}
