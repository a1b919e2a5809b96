import type { ClusterDocument } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'

/**
 * Where members listen: as the document says, unless they were met elsewhere since. What was found out by meeting them holds
 * until the document says something new of them, or nobody answers there.
 */
export class AddressBook {
  readonly #noted = new Map<NodeName, string>()
  #document: ClusterDocument

  constructor(document: ClusterDocument) {
    this.#document = document
  }

  addressOf(node: NodeName): string | undefined {
    return this.#noted.get(node) ?? this.#document.members.get(node)?.address
  }

  /** The node was met at this address. Only of members, so that there are never more of them than there are members. */
  note(node: NodeName, address: string): void {
    const member = this.#document.members.get(node)
    if (member === undefined) return
    if (member.address === address) this.#noted.delete(node)
    else this.#noted.set(node, address)
  }

  /** Nobody was reached where the node was met. */
  forget(node: NodeName): void {
    this.#noted.delete(node)
  }

  follow(document: ClusterDocument): void {
    for (const node of [...this.#noted.keys()]) {
      const [before, after] = [this.#document.members.get(node), document.members.get(node)]
      if (after === undefined || after.address !== before?.address) this.#noted.delete(node)
    }
    this.#document = document
  }
}
