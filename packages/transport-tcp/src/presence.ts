import { equalBytes } from '@atoll/core'
import type { Party } from './protocol.ts'
import { because } from './refusal.ts'

/** A connection, as far as it matters here. */
export interface Link {
  /** False if the other side was silent for so long that it may be gone. */
  readonly lively: boolean
  /** Ends it for the sake of a new one. */
  replace(): void
}

interface Known {
  readonly instance: Uint8Array
  readonly links: Set<Link>
}

/**
 * Which process of each name is connected. A second process of the same name is refused while the first one shows signs
 * of life; if it does not, it is taken for dead and loses its connections to the second.
 */
export class Presence {
  readonly #known = new Map<string, Known>()

  /** Throws `ATOLL_PROTOCOL` for a double. */
  admit({ node, instance }: Party): void {
    const known = this.#known.get(node)
    if (known === undefined || equalBytes(known.instance, instance)) return
    for (const link of known.links) {
      if (link.lively) throw because('name', `another process has the name ${node} and is connected`)
    }
    this.#known.delete(node)
    for (const link of known.links) link.replace()
  }

  add({ node, instance }: Party, link: Link): void {
    const known = this.#known.get(node) ?? { instance, links: new Set<Link>() }
    known.links.add(link)
    this.#known.set(node, known)
  }

  remove({ node }: Party, link: Link): void {
    const known = this.#known.get(node)
    if (known?.links.delete(link) && known.links.size === 0) this.#known.delete(node)
  }
}
