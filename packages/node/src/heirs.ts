import type { ClusterDocument } from '@atoll/membership'
import type { NodeName, ReplicaTable } from '@atoll/ring'
import type { Ownership } from '@atoll/vnode'

/**
 * Who serves the replicas of a node: it holds them, or they were handed over while it watched. An heir stands where the
 * node stood in the list of the partition, and so it is known from the two documents alone. What happened while the node
 * was away it does not know: then whoever asks it has an old document, and is refused.
 */
export class Heirs {
  readonly #node: NodeName
  readonly #heirs = new Map<number, NodeName>()
  #replicas: ReplicaTable = []
  #ownership: Ownership

  constructor(node: NodeName) {
    this.#node = node
    this.#ownership = { epoch: 0, ownerOf: (partition) => this.#ownerOf(partition) }
  }

  get ownership(): Ownership {
    return this.#ownership
  }

  follow({ epoch, replicas }: ClusterDocument): void {
    for (const [partition, holders] of replicas.entries()) {
      const before = this.#replicas[partition] ?? []
      if (holders === before) continue
      if (holders.includes(this.#node)) this.#heirs.delete(partition)
      else if (before.includes(this.#node)) this.#inherit(partition, holders[before.indexOf(this.#node)])
      else this.#pass(partition, before, holders)
    }
    this.#replicas = replicas
    this.#ownership = { epoch, ownerOf: (partition) => this.#ownerOf(partition) }
  }

  /** The heir may hand over in its turn. */
  #pass(partition: number, before: readonly NodeName[], holders: readonly NodeName[]): void {
    const heir = this.#heirs.get(partition)
    if (heir === undefined || holders.includes(heir)) return
    this.#inherit(partition, holders[before.indexOf(heir)])
  }

  #inherit(partition: number, heir: NodeName | undefined): void {
    if (heir === undefined) this.#heirs.delete(partition)
    else this.#heirs.set(partition, heir)
  }

  #ownerOf(partition: number): NodeName | undefined {
    if (this.#replicas[partition]?.includes(this.#node)) return this.#node
    return this.#heirs.get(partition)
  }
}
