import { AtollError } from '@atoll/core'
import type { RpcEndpoint } from '@atoll/transport'

/**
 * Said in the handshake by a node that tells writes of one dot apart: in an offer it takes the ids of writes beside the
 * digests of clocks, and to a put it answers, if it is asked, which dots it knows as those of other writes.
 */
export const WRITE_IDS = 'write-ids'

/** Said by a node that answers a scan with the first entry of each group of terms. */
export const SCAN_GROUPS = 'scan-groups'

/** Said by a node that notes which holders missed a write, and gives it to them when they are back. */
export const HINTS = 'hints'

/** What nodes of this build can do beyond the protocol's version, as far as vnodes go. */
export const VNODE_CAPABILITIES: readonly string[] = [WRITE_IDS, SCAN_GROUPS, HINTS]

export type Peers = Pick<RpcEndpoint, 'capabilitiesOf'>

export function knowsWriteIds(peers: Peers, node: string): boolean {
  return peers.capabilitiesOf(node)?.has(WRITE_IDS) === true
}

export function knowsHints(peers: Peers, node: string): boolean {
  return peers.capabilitiesOf(node)?.has(HINTS) === true
}

/** What whoever wants something noted is told of a node of before. */
export function notesNone(node: string): AtollError {
  return new AtollError('ATOLL_PROTOCOL', `${node} does not note what other nodes missed`, { definite: true })
}

/** The request as that node understands it: one of before answers with all entries, of which only the first count. */
export function scanFor<Request extends { readonly groups?: unknown }>(
  peers: Peers,
  node: string,
  request: Request,
): Request {
  if (request.groups === undefined || peers.capabilitiesOf(node)?.has(SCAN_GROUPS)) return request
  return { ...request, groups: undefined }
}
