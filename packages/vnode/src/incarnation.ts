import type { ActorId, Dot } from '@atoll/causality'
import { decodeWith, encodeWith, isAtollError, type Random, type TupleCodec, toHex } from '@atoll/core'
import type { Operation } from './ports.ts'
import { type Crc32, seal, unseal } from './seal.ts'

/** Events that a vnode may name before it must write down how far it may have come. As `counter_lease_size` in Riak. */
export const LEASED_COUNTERS = 10_000

const ACTOR_BYTES = 8

interface Lease {
  readonly actor: ActorId
  /** No event of the actor has a greater counter. */
  readonly ceiling: number
}

/** What the next write carries: its name, and what must be stored in the same batch or before. */
export interface Claim {
  readonly dot: Dot
  readonly operations: readonly Operation[]
  readonly lease: Lease
}

export interface IncarnationParts {
  readonly random: Random
  readonly crc32: Crc32
  /** Where the lease lies. */
  readonly key: Uint8Array
}

/**
 * Who a vnode is as an actor, so that no dot is ever given twice (the fault behind riak_kv#679). Counters are leased:
 * after a restart counting goes on from the ceiling, which skips some but repeats none. A vnode that has lost data, or
 * does not know whether it has, becomes a new actor: a clock of the old one would claim to know what was lost.
 */
export class Incarnation {
  readonly #parts: IncarnationParts
  #actor: ActorId
  #counter: number
  #ceiling: number

  /** `stored` is what lies under the key; without it, or if it cannot be read, the vnode is a new actor. */
  constructor(parts: IncarnationParts, stored: Uint8Array | undefined) {
    this.#parts = parts
    const lease = stored === undefined ? undefined : openLease(parts, stored)
    this.#actor = lease?.actor ?? newActor(parts.random)
    this.#counter = lease?.ceiling ?? 0
    this.#ceiling = this.#counter
  }

  get actor(): ActorId {
    return this.#actor
  }

  renew(): void {
    this.#actor = newActor(this.#parts.random)
    this.#counter = 0
    this.#ceiling = 0
  }

  /** The next event. If its operations are committed, that must be told by `granted`, before the next claim. */
  claim(): Claim {
    this.#counter += 1
    const dot = { actor: this.#actor, counter: this.#counter }
    if (dot.counter <= this.#ceiling) {
      return { dot, operations: [], lease: { actor: this.#actor, ceiling: this.#ceiling } }
    }
    const lease = { actor: this.#actor, ceiling: dot.counter - 1 + LEASED_COUNTERS }
    const { key, crc32 } = this.#parts
    const value = seal(key, encodeWith(leaseCodec, lease), crc32)
    return { dot, operations: [{ type: 'put', key, value }], lease }
  }

  granted({ lease }: Claim): void {
    if (lease.actor === this.#actor) this.#ceiling = lease.ceiling
  }
}

function newActor(random: Random): ActorId {
  return toHex(random.bytes(ACTOR_BYTES))
}

function openLease({ key, crc32 }: IncarnationParts, stored: Uint8Array): Lease | undefined {
  try {
    return decodeWith(leaseCodec, unseal(key, stored, crc32))
  } catch (error) {
    if (isAtollError(error, 'ATOLL_CORRUPT')) return undefined
    throw error
  }
}

const leaseCodec: TupleCodec<Lease> = {
  name: 'the incarnation of a vnode',
  version: 1,
  encode: ({ actor, ceiling }) => [actor, ceiling],
  decode: (reader) => ({ actor: reader.string(), ceiling: reader.uint() }),
}
