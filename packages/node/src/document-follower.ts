import type { BucketTypes } from '@atoll/coordinator'
import { type AtollError, assert, attempt, type Runtime } from '@atoll/core'
import type { Gossip } from '@atoll/gossip'
import { type ClusterDocument, catchingUp, filledReplicas, type Membership } from '@atoll/membership'
import { Placement } from '@atoll/ring'
import type { Acquaintances } from './acquaintances.ts'
import type { Departure, Leaving } from './departure.ts'
import { DOCUMENT_MARK, markOf } from './document-mark.ts'
import type { Lives } from './lives.ts'
import { epochOfOtherData } from './node-identity.ts'
import type { PartitionOwners } from './partition-owners.ts'

export interface DocumentFollowerParts {
  readonly node: string
  readonly runtime: Runtime
  readonly membership: Membership
  readonly gossip: Gossip
  readonly bucketTypes: BucketTypes
  readonly owners: PartitionOwners
  readonly others: Acquaintances
  readonly leaving: Leaving
  readonly lives: Lives
  readonly onLeft: (departure: Departure) => void
}

/**
 * Whatever goes by the cluster document goes by the newest that this node has: its placement, bucket types, owners of
 * partitions, peers and gossip. When the document, or a peer, says that this node is no member any more, it leaves.
 */
export class DocumentFollower {
  readonly #parts: DocumentFollowerParts
  #placement: Placement | undefined

  constructor(parts: DocumentFollowerParts) {
    this.#parts = parts
  }

  /** The nodes of every partition. */
  get placement(): Placement {
    assert(this.#placement !== undefined, `node ${this.#parts.node} has a placement once it is open`)
    return this.#placement
  }

  follow(document: ClusterDocument): void {
    const { bucketTypes, owners, others, gossip, leaving, lives } = this.#parts
    bucketTypes.replaceAll(document.bucketTypes, filledReplicas(document))
    const { ring, epoch, replicas: table } = document
    const behind = new Set(catchingUp(document).keys())
    this.#placement = new Placement(ring, epoch, { table, behind })
    owners.follow(document)
    others.follow(document)
    gossip.setMembers(leaving.isOver ? [] : [...document.members.keys()])
    lives.follow(document)
  }

  /** Tells the others which document this node goes by. */
  mark(): void {
    const { gossip, membership, runtime } = this.#parts
    const { document, bytes } = membership
    if (document === undefined || bytes === undefined) return
    gossip.publish(DOCUMENT_MARK, markOf(document.epoch, bytes, runtime.digest.sha1))
  }

  /** By which of two histories a request would be right nobody knows: throws while there are two. */
  unlessForked<T>(get: () => T): T {
    const { fork } = this.#parts.membership
    if (fork !== undefined) throw fork
    return get()
  }

  readonly onDocument = (document: ClusterDocument, previous: ClusterDocument | undefined) => {
    const { gossip, leaving, others } = this.#parts
    this.follow(document)
    this.#leave(leaving.look(document))
    others.changed(previous)
    if (gossip.state !== 'open') return
    gossip.announce()
    this.mark()
  }

  readonly onMismatch = (_peer: string, reason: AtollError) => {
    const { leaving, membership } = this.#parts
    const { document } = membership
    if (document === undefined) return
    const { clusterId } = document
    const epoch = epochOfOtherData(reason, clusterId) ?? 0
    if (epoch > document.epoch) this.#leave(leaving.replaced({ clusterId, epoch }))
  }

  #leave(departure: Departure | undefined): void {
    if (departure === undefined) return
    const { gossip, node, onLeft, runtime } = this.#parts
    runtime.log.warn({ node, ...departure }, 'this node is no member of its cluster any more')
    // Nobody answers it any more.
    gossip.setMembers([])
    attempt(runtime, 'listener', () => onLeft(departure))
  }
}
