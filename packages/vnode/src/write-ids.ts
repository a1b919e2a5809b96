import type { RpcEndpoint } from '@atoll/transport'

/**
 * Said in the handshake by a node that tells writes of one dot apart: in an offer it takes the ids of writes beside the digests
 * of clocks, and to a put it answers, if it is asked, which dots it knows as those of other writes.
 */
export const WRITE_IDS = 'write-ids'

export function knowsWriteIds(endpoint: Pick<RpcEndpoint, 'capabilitiesOf'>, node: string): boolean {
  return endpoint.capabilitiesOf(node)?.has(WRITE_IDS) === true
}
