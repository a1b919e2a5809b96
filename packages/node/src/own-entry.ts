import { type BucketTypes, decodeBucketProperties } from '@atoll/coordinator'
import type { Runtime } from '@atoll/core'
import { type ClusterDocument, type Membership, markUp, setAddress, setBucketType } from '@atoll/membership'
import type { RpcEndpoint } from '@atoll/transport'
import type { Acquaintances } from './acquaintances.ts'
import type { Generation } from './generation.ts'
import type { Lives } from './lives.ts'
import { lookAround } from './look-around.ts'

export interface OwnEntryParts {
  readonly node: string
  readonly runtime: Runtime
  readonly endpoint: RpcEndpoint
  readonly membership: Membership
  readonly bucketTypes: BucketTypes
  readonly generation: Generation
  readonly lives: Lives
  readonly others: Acquaintances
}

/** What the cluster document should say of a node that has opened. */
export class OwnEntry {
  readonly #parts: OwnEntryParts
  /** The bucket types that it was opened with. */
  readonly #configured: ReadonlyMap<string, Uint8Array>

  constructor(parts: OwnEntryParts) {
    this.#parts = parts
    this.#configured = parts.bucketTypes.toEncoded()
  }

  /**
   * The address of this node may be another one, it may know bucket types that the cluster does not, and its data has begun
   * another life.
   */
  readonly edit = (document: ClusterDocument): ClusterDocument => {
    const { lives, node, others } = this.#parts
    const own = document.members.get(node)
    if (own === undefined) return document
    const placed = others.areFoundByName ? document : setAddress(document, node, others.address)
    const here = lives.tell(own.state === 'down' ? markUp(placed, node) : placed)
    return [...this.#configured].reduce((known, [name, bytes]) => {
      if (known.bucketTypes.has(name)) return known
      return setBucketType(known, { name, bytes, n: decodeBucketProperties(bytes).n })
    }, here)
  }

  /**
   * Whether the data is an older copy is known by any other member: it votes once all have been asked who can be
   * reached.
   */
  readonly first = async (signal: AbortSignal): Promise<void> => {
    const { endpoint, generation, membership, node, runtime } = this.#parts
    const { document } = membership
    if (document === undefined || generation.remembers(document)) return
    await lookAround(runtime, { node, membership, endpoint }, signal)
    generation.lookedAround()
  }
}
