import { AtollError } from '@atoll/core'
import { isCapable, type PeerCapabilities } from '@atoll/transport'
import { SCAN_GROUPS, type ScanRequest } from '@atoll/vnode'

/** What whoever wants something noted is told of a node of an earlier build. */
export function notesNone(node: string): AtollError {
  return new AtollError('ATOLL_PROTOCOL', `${node} does not note what other nodes missed`, { definite: true })
}

/**
 * The request as that node understands it: one of an earlier build answers with all entries, of which only the first
 * count.
 */
export function scanFor<Request extends Pick<ScanRequest, 'groups'>>(
  peers: PeerCapabilities,
  node: string,
  request: Request,
): Request {
  if (request.groups === undefined || isCapable(peers, node, SCAN_GROUPS)) return request
  return { ...request, groups: undefined }
}
