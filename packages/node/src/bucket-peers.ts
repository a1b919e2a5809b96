import { SECOND_MS } from '@atoll/core'
import type { ClusterDocument } from '@atoll/membership'
import type { StorePeers } from '@atoll/objects'
import type { NodeName } from '@atoll/ring'
import type { RpcEndpoint } from '@atoll/transport'
import { clockMethod } from './clocks.ts'

/** Said in the handshake by a node that reads records of buckets with ids, and files by them. */
export const BUCKET_IDS = 'bucket-ids'

const ASK_TIMEOUT_MS = SECOND_MS

export interface BucketPeersParts {
  readonly node: NodeName
  readonly endpoint: Pick<RpcEndpoint, 'call' | 'capabilitiesOf'>
  readonly membership: { readonly document: ClusterDocument | undefined }
}

/** The members of the cluster, as the object store of a node has to know of them. */
export class BucketPeers implements StorePeers {
  readonly #parts: BucketPeersParts
  /** What members have said when they were last heard; only of those that are there. */
  #heard: ReadonlyMap<NodeName, boolean> = new Map()

  constructor(parts: BucketPeersParts) {
    this.#parts = parts
  }

  areThere(): boolean {
    return this.#others().length > 0
  }

  /** Who is not connected is asked, unless it has said so before; who does not answer may be of a build before. */
  async readIds({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<boolean> {
    const said = await Promise.all(this.#others().map((other) => this.#says(other, signal)))
    this.#heard = new Map(said.flatMap(([node, reads]) => (reads === undefined ? [] : [[node, reads]])))
    return said.every(([, reads]) => reads === true)
  }

  async #says(
    node: NodeName,
    signal: AbortSignal | undefined,
  ): Promise<readonly [NodeName, boolean | undefined]> {
    const { endpoint } = this.#parts
    // Whatever it answers, it is connected then. One of a build before may be another one by now.
    if (endpoint.capabilitiesOf(node) === undefined && this.#heard.get(node) !== true)
      await endpoint.call(node, clockMethod, null, { timeoutMs: ASK_TIMEOUT_MS, signal }).catch(() => {})
    return [node, this.#told(node)]
  }

  #told(node: NodeName): boolean | undefined {
    return this.#parts.endpoint.capabilitiesOf(node)?.has(BUCKET_IDS) ?? this.#heard.get(node)
  }

  #others(): readonly NodeName[] {
    const { node, membership } = this.#parts
    return [...(membership.document?.members.keys() ?? [])].filter((other) => other !== node)
  }
}
