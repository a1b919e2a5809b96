import type { KeyId } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import type { BucketProperties } from './bucket-properties.ts'
import type { ReadOptions, WriteOptions } from './kv.ts'
import type { CoordinatorMeans } from './means.ts'
import { aloneAt, guarded, type NewWrite } from './new-write.ts'
import type { SliceView } from './preference.ts'
import type { PutPlan } from './put-machine.ts'
import { among, type ReadQuorum, readQuorum, type WriteQuorum, writeQuorum } from './quorum.ts'

/** Where the replicas of a key are at this moment, and how many of them have to answer a read. */
export interface ReadTerms {
  readonly view: SliceView
  readonly quorum: ReadQuorum
}

/** The same for a write. */
export interface WriteTerms {
  readonly view: SliceView
  readonly quorum: WriteQuorum
  readonly newcomer: PutPlan['newcomer']
  readonly aloneAt: PutPlan['aloneAt']
}

/** Of which replicas a request for a key asks how many: from the placement, the bucket type, and what the request says. */
export class KeyQuorums {
  readonly #means: Pick<CoordinatorMeans, 'placement' | 'bucketTypes'>
  readonly #isUp: (node: string) => boolean
  readonly #sha1: (data: Uint8Array) => Uint8Array

  constructor(
    means: Pick<CoordinatorMeans, 'placement' | 'bucketTypes' | 'liveness'>,
    sha1: (data: Uint8Array) => Uint8Array,
  ) {
    const { liveness } = means
    this.#means = means
    this.#isUp = (node) => liveness.isUp(node)
    this.#sha1 = sha1
  }

  ofRead(id: KeyId, asked: BucketProperties, wanted: ReadOptions): ReadTerms {
    const { type, options } = among(this.#means.bucketTypes.filled(id.type), { type: asked, options: wanted })
    const view = this.#view(id, type)
    const quorum = readQuorum(type, options, view.n)
    return { view: quorum.n === view.n ? view : { ...view, n: quorum.n }, quorum }
  }

  ofWrite(id: KeyId, write: NewWrite, wanted: WriteOptions): WriteTerms {
    const filled = this.#means.bucketTypes.filled(id.type)
    const { type, options } = among(filled + 1, { type: write.type, options: wanted })
    const every = this.#view(id, type)
    const quorum = guarded(writeQuorum(type, options, every.n), write)
    const view = quorum.n === every.n ? every : { ...every, n: quorum.n }
    const isOnce = type.policy.kind === 'write-once'
    return {
      view,
      quorum,
      newcomer: newcomerOf(view, filled, { type, options }),
      aloneAt: isOnce ? undefined : aloneAt(write, quorum.n, () => this.#readSize(id, type, view)),
    }
  }

  /** How many replicas a read of n of a slice has to hear. */
  #readSize({ type: name }: KeyId, asked: BucketProperties, { placement, slice, n }: SliceView): number {
    const filled = this.#means.bucketTypes.filled(name)
    const { type, options } = among(filled, { type: asked, options: { n } })
    return readQuorum(type, options, placement.primaries(slice, type.n).length).r
  }

  /** n is that of the type, or the number of nodes where these are fewer. */
  #view(id: KeyId, type: BucketProperties): SliceView {
    const placement = this.#means.placement()
    const slice = partitionOf(id, placement.ring.partitions, this.#sha1)
    return { placement, slice, n: placement.primaries(slice, type.n).length, isUp: this.#isUp }
  }
}

/** Behind those that are filled. */
function newcomerOf(
  { placement, slice, n }: SliceView,
  filled: number,
  request: { readonly type: BucketProperties; readonly options: WriteOptions },
): PutPlan['newcomer'] {
  const node = n > filled ? placement.primaries(slice, n)[filled]?.node : undefined
  if (node === undefined) return undefined
  const { type, options } = among(filled, request)
  return { node, others: writeQuorum(type, options, filled) }
}
