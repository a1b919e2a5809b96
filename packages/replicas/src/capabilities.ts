import { AtollError } from '@atoll/core'
import type { RpcEndpoint } from '@atoll/transport'
import { DIGEST_READS, HINTS, SCAN_GROUPS, type ScanRequest, WRITE_IDS } from '@atoll/vnode'

export type Peers = Pick<RpcEndpoint, 'capabilitiesOf'>

export function knowsWriteIds(peers: Peers, node: string): boolean {
  return peers.capabilitiesOf(node)?.has(WRITE_IDS) === true
}

export function knowsHints(peers: Peers, node: string): boolean {
  return peers.capabilitiesOf(node)?.has(HINTS) === true
}

export function knowsDigests(peers: Peers, node: string): boolean {
  return peers.capabilitiesOf(node)?.has(DIGEST_READS) === true
}

/** What whoever wants something noted is told of a node of before. */
export function notesNone(node: string): AtollError {
  return new AtollError('ATOLL_PROTOCOL', `${node} does not note what other nodes missed`, { definite: true })
}

/** The request as that node understands it: one of before answers with all entries, of which only the first count. */
export function scanFor<Request extends Pick<ScanRequest, 'groups'>>(
  peers: Peers,
  node: string,
  request: Request,
): Request {
  if (request.groups === undefined || peers.capabilitiesOf(node)?.has(SCAN_GROUPS)) return request
  return { ...request, groups: undefined }
}
