import { AtollError, assert, type Runtime } from '@atoll/core'
import type { ClusterDocument, Membership } from '@atoll/membership'
import type { Met } from './meeting.ts'
import { otherData } from './node-identity.ts'

/** How a node comes to the document of its cluster. */
export interface AtollNodeStart {
  /** What its storage, a seed, or whoever begins the cluster says. */
  readonly known: ClusterDocument
  /** Addresses where members of the cluster may be. */
  readonly seeds: readonly string[]
  /** The members that were met already. */
  readonly met: readonly Met[]
  readonly zone: string | undefined
  readonly joinTimeoutMs: number
}

interface Entering extends Pick<AtollNodeStart, 'known' | 'met' | 'zone' | 'joinTimeoutMs'> {
  readonly node: string
  readonly address: string
}

/** The document of a node: from its storage, or by beginning a cluster, or by joining one. */
export async function enterCluster(
  runtime: Runtime,
  membership: Membership,
  { known, met, zone, joinTimeoutMs: timeoutMs, node, address }: Entering,
): Promise<ClusterDocument> {
  const newest = membership.document ?? known
  const own = newest.members.get(node)
  if (own !== undefined && own.id !== membership.id) throw otherData(node, membership.id, newest)
  if (membership.document === undefined && own !== undefined) await membership.bootstrap(known)
  else if (membership.document === undefined) {
    const names = met.map((one) => one.node)
    const seeds = [...new Set([...names, ...known.members.keys()])].filter((name) => name !== node)
    runtime.log.info({ node, members: seeds, address }, 'the node joins a cluster')
    await membership.join({ seeds, address, zone, timeoutMs })
  } else if (own === undefined) throw hasLeft(node)
  const { document } = membership
  assert(document !== undefined, 'a node has a document once it began a cluster or joined one')
  return document
}

function hasLeft(node: string): AtollError {
  return new AtollError(
    'ATOLL_FORMAT',
    `${node} has left the cluster: on an empty directory it may join anew`,
  )
}
