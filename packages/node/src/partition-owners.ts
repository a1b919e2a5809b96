import { type ClusterDocument, catchingUp } from '@atoll/membership'
import type { Ownership } from '@atoll/replicas'
import { type NodeName, overlapping, type ReplicaTable } from '@atoll/ring'

/**
 * Who serves the replicas of a node: it holds them, or they were handed over while it watched. A new owner stands where the
 * node stood in the list of the partition, and so it is known from the two documents alone. What happened while the node
 * was away it does not know: then whoever asks it has an old document, and is refused.
 */
export class PartitionOwners {
  readonly #node: NodeName
  readonly #newOwners = new Map<number, NodeName>()
  #replicas: ReplicaTable = []
  #ownership: Ownership
  #readsFrom = 0
  /** The nodes that catch up, and the epochs by which this node learned of that. */
  #behind: ReadonlyMap<NodeName, number> = new Map()

  constructor(node: NodeName) {
    this.#node = node
    this.#ownership = { epoch: 0, ownerOf: (partition) => this.#ownerOf(partition) }
  }

  get ownership(): Ownership {
    return this.#ownership
  }

  /** The epoch that whoever reads here must know; see `Ownership`. */
  set readsFrom(epoch: number) {
    if (epoch === this.#readsFrom) return
    this.#readsFrom = epoch
    this.#ownership = { ...this.#ownership, readsFrom: epoch }
  }

  follow(document: ClusterDocument): void {
    const { epoch, replicas, ring, resizedAt, grownAt } = document
    if (this.#replicas.length > 0 && this.#replicas.length < ring.partitions) this.#split(ring.partitions)
    for (const [partition, holders] of replicas.entries()) {
      const before = this.#replicas[partition] ?? []
      const last = before.includes(this.#node) ? this.#node : this.#newOwners.get(partition)
      if (holders.includes(this.#node)) this.#newOwners.delete(partition)
      else if (last !== undefined && !holders.includes(last))
        this.#inherit(partition, newOwnerOf(last, before, holders))
    }
    this.#replicas = replicas
    const before = this.#behind
    this.#behind = new Map([...catchingUp(document).keys()].map((node) => [node, before.get(node) ?? epoch]))
    this.#ownership = {
      epoch,
      ring: { partitions: ring.partitions, since: resizedAt },
      readsFrom: this.#readsFrom,
      readsFromOf: (node) => this.#behind.get(node) ?? 0,
      grownAt,
      ownerOf: (partition) => this.#ownerOf(partition),
    }
  }

  /** The ring has got more partitions: what is known of one holds for all that it has become. */
  #split(partitions: number): void {
    const before = this.#replicas
    const newOwners = new Map(this.#newOwners)
    const parents = Array.from(
      { length: partitions },
      (_, at) => overlapping(at, partitions, before.length)[0],
    )
    this.#replicas = parents.map((parent = 0) => before[parent] ?? [])
    this.#newOwners.clear()
    for (const [partition, parent = 0] of parents.entries()) this.#inherit(partition, newOwners.get(parent))
  }

  #inherit(partition: number, newOwner: NodeName | undefined): void {
    if (newOwner === undefined) this.#newOwners.delete(partition)
    else this.#newOwners.set(partition, newOwner)
  }

  #ownerOf(partition: number): NodeName | undefined {
    if (this.#replicas[partition]?.includes(this.#node)) return this.#node
    return this.#newOwners.get(partition)
  }
}

/** Who came to the place of `last`. Where others left the list as well, places do not tell any more. */
function newOwnerOf(
  last: NodeName,
  before: readonly NodeName[],
  holders: readonly NodeName[],
): NodeName | undefined {
  const newOwner = before.length <= holders.length ? holders[before.indexOf(last)] : undefined
  return newOwner === undefined || before.includes(newOwner) ? undefined : newOwner
}
