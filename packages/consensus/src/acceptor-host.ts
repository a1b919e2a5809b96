import { AtollError, toHex } from '@atoll/core'
import {
  type AcceptorState,
  type AcceptReply,
  accept,
  EMPTY_ACCEPTOR,
  type PrepareReply,
  type Proposal,
  prepare,
} from './acceptor.ts'
import type { Ballot } from './ballot.ts'
import type { AcceptorStorage } from './ports.ts'

/** Requests to one host that may wait, over all registers. */
const MAX_QUEUED = 10_000

/** The acceptor of many registers on one node: each request is one durable step, and a register's steps have an order. */
export class AcceptorHost {
  readonly #storage: AcceptorStorage
  readonly #tails = new Map<string, Promise<unknown>>()
  #queued = 0

  constructor(collaborators: { readonly storage: AcceptorStorage }) {
    this.#storage = collaborators.storage
  }

  prepare(register: Uint8Array, ballot: Ballot): Promise<PrepareReply> {
    return this.#inOrder(register, (state) => prepare(state, ballot))
  }

  accept(register: Uint8Array, proposal: Proposal): Promise<AcceptReply> {
    return this.#inOrder(register, (state) => accept(state, proposal))
  }

  async #inOrder<Reply>(
    register: Uint8Array,
    step: (state: AcceptorState) => { state: AcceptorState; reply: Reply },
  ): Promise<Reply> {
    if (this.#queued >= MAX_QUEUED)
      throw new AtollError('ATOLL_OVERLOADED', `${MAX_QUEUED} requests wait for registers`)
    const id = toHex(register)
    const run = async () => {
      const before = (await this.#storage.load(register)) ?? EMPTY_ACCEPTOR
      const { state, reply } = step(before)
      if (state !== before) await this.#storage.save(register, state)
      return reply
    }
    this.#queued += 1
    const done = (this.#tails.get(id) ?? Promise.resolve()).then(run, run)
    this.#tails.set(id, done)
    try {
      return await done
    } finally {
      this.#queued -= 1
      if (this.#tails.get(id) === done) this.#tails.delete(id)
    }
  }
}
