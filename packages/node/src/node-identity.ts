import { AtollError } from '@atoll/core'
import type { ClusterDocument } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import { type Identity, type IdentityPort, type Peer, type Standing, WRONG_IDENTITY } from '@atoll/transport'

export interface NodeIdentityParts {
  readonly node: NodeName
  /** Of the data of this node. */
  readonly memberId: string
  /** The life of that data, as it is told to others; undefined if it is not told. */
  readonly generation: () => string | undefined
  /** Of the cluster that this node is of, or is about to join. */
  readonly document: () => ClusterDocument
  /** A peer is of this cluster and has a newer document, by which it is what its name stands for. */
  readonly onNewer: (node: NodeName) => void
}

/** Who is who by the cluster document: a name stands for the data that the document notes of it, wherever that is. */
export class NodeIdentity implements IdentityPort {
  readonly #parts: NodeIdentityParts

  constructor(parts: NodeIdentityParts) {
    this.#parts = parts
  }

  /** True once this node is a member with the data that it has. */
  get isMember(): boolean {
    const { node, memberId, document } = this.#parts
    return document().members.get(node)?.id === memberId
  }

  own(): Identity {
    const { memberId, generation, document } = this.#parts
    const { clusterId, epoch } = document()
    if (!this.isMember) return { clusterId: undefined, memberId, generation: undefined, epoch: 0 }
    return { clusterId, memberId, generation: generation(), epoch }
  }

  judge({ node, identity, side }: Peer): Standing | AtollError {
    const document = this.#parts.document()
    const { clusterId, memberId, epoch } = identity
    if (clusterId !== undefined && clusterId !== document.clusterId)
      return this.#otherCluster(node, clusterId, document)
    const member = document.members.get(node)
    if (member !== undefined && member.id !== memberId) {
      // Who looks for a cluster has no data yet, and may ask for the document.
      if (memberId === undefined && side === 'caller') return 'stranger'
      if (clusterId === undefined || epoch <= document.epoch) return otherData(node, memberId, document)
      this.#parts.onNewer(node)
      return side === 'caller' ? 'stranger' : isBehind(this.#parts.node, node)
    }
    const isOfNoCluster = side === 'caller' && clusterId === undefined
    return this.isMember && !isOfNoCluster ? 'member' : 'stranger'
  }

  #otherCluster(node: NodeName, theirs: string, { clusterId, epoch }: ClusterDocument): AtollError {
    const self = this.#parts.node
    const what = `${node} belongs to cluster ${theirs}, and ${self} to cluster ${clusterId}`
    const why = 'one of the two has the data of another cluster, or both were told to begin one'
    const advice =
      'keep the cluster that holds your data; start the other node on an empty directory, with seeds and without begin'
    return new AtollError('ATOLL_FORMAT', `${what}: ${why}; ${advice}`, {
      details: { ...WRONG_IDENTITY, what: 'cluster', clusterId, epoch },
    })
  }
}

/** The epoch of the document by which the name of a node stands for other data, if that is why it was refused. */
export function epochOfOtherData({ details }: AtollError, clusterId: string): number | undefined {
  const { what, clusterId: theirs, epoch } = details
  return what === 'member' && theirs === clusterId && typeof epoch === 'number' ? epoch : undefined
}

/** What the cluster says to a node that has other data than it has noted of the name. */
export function otherData(
  node: NodeName,
  id: string | undefined,
  { clusterId, epoch }: Pick<ClusterDocument, 'clusterId' | 'epoch'>,
): AtollError {
  const change = `{ kind: 'force-replace', node: '${node}', by: '${node}', id: '${id ?? '…'}' }`
  const lost = `stage ${change} on another node, plan and commit it there, and start ${node} again as it is`
  return new AtollError(
    'ATOLL_FORMAT',
    `the cluster knows ${node} with other data: start it with that, or if that is lost ${lost}`,
    { details: { ...WRONG_IDENTITY, what: 'member', clusterId, epoch, node, id } },
  )
}

function isBehind(self: NodeName, node: NodeName): AtollError {
  const message = `${node} has a newer cluster document than ${self}, which has to learn it first`
  return new AtollError('ATOLL_UNREACHABLE', message)
}
