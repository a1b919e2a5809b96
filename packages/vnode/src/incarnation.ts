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
  /** The lineage of the data in which the actor began; '' for one from before there were any. */
  readonly lineage: string
}

/**
 * In which line of lives of the data the vnodes are. A line goes on only from a life that was closed in order to the
 * next one that follows on it; any other life begins a new one, since dots may have been given behind its back: by the
 * life that a copy was restored over, or by one whose last batches the disk has lost.
 */
export interface Lineage {
  /** 1 to 64 characters; different for every line that there will ever be. */
  readonly name: string
  /**
   * Whether actors that began in the line go on as who they were. Other nodes hear of a dot before it is on the disk
   * here: so none does after a batch has failed, in that life or the next.
   */
  readonly continues: boolean
}

const LINEAGE_BYTES = 12

/** A line of its own, which no other life goes on with. */
export function newLineage(random: Random): Lineage {
  return { name: toHex(random.bytes(LINEAGE_BYTES)), continues: false }
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
  readonly lineage: Lineage
}

/**
 * Who a vnode is as an actor, so that no dot is ever given twice (the fault behind riak_kv#679). Counters are leased:
 * after an orderly restart counting goes on from the ceiling, which skips some but repeats none. A vnode that has lost
 * data, or does not know whether it has, becomes a new actor: a clock of the old one would claim to know what was lost.
 * So does a vnode whose lease is of another lineage than the data: the lease may have been gone on with elsewhere.
 */
export class Incarnation {
  readonly #parts: IncarnationParts
  #actor: ActorId
  #counter: number
  #ceiling: number

  /**
   * `stored` is what lies under the key; without it, or if it cannot be read or counts no more, the vnode is a new
   * actor.
   */
  constructor(parts: IncarnationParts, stored: Uint8Array | undefined) {
    this.#parts = parts
    const { name, continues } = parts.lineage
    const found = stored === undefined || !continues ? undefined : openLease(parts, stored)
    const lease = found?.lineage === name ? found : undefined
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
    const { key, crc32 } = this.#parts
    const lineage = this.#parts.lineage.name
    this.#counter += 1
    const dot = { actor: this.#actor, counter: this.#counter }
    if (dot.counter <= this.#ceiling) {
      return { dot, operations: [], lease: { actor: this.#actor, ceiling: this.#ceiling, lineage } }
    }
    const lease = { actor: this.#actor, ceiling: dot.counter - 1 + LEASED_COUNTERS, lineage }
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
  version: 2,
  encode: ({ actor, ceiling, lineage }) => [actor, ceiling, lineage],
  decode: (reader) => ({ actor: reader.string(), ceiling: reader.uint(), lineage: reader.string() }),
  migrations: { 1: (older) => [older.string(), older.uint(), ''] },
}
