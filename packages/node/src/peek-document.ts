import { AtollError, type Runtime } from '@atoll/core'
import { type ClusterDocument, decodeDocument } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import { RpcEndpoint } from '@atoll/transport'
import { documentMethod } from './control-methods.ts'
import type { NodeNetwork } from './node-network.ts'

const TIMEOUT_MS = 3000

/**
 * The document of the cluster that the seeds belong to, for a node that has none: its ring must be known before the
 * node's storage is opened. Throws what the last seed answered if none of them gives it.
 */
export async function peekDocument(
  node: NodeName,
  network: NodeNetwork,
  { runtime, seeds }: { readonly runtime: Runtime; readonly seeds: Readonly<Record<string, string>> },
): Promise<ClusterDocument> {
  const addressOf = (name: string) => (name === node ? network.listen : (seeds[name] ?? ''))
  const endpoint = new RpcEndpoint(
    runtime,
    { transport: network.transport, addressOf },
    { node, clusterId: network.clusterName },
  )
  await endpoint.open()
  try {
    let failure: unknown
    for (const seed of Object.keys(seeds).filter((name) => name !== node)) {
      try {
        return decodeDocument(await endpoint.call(seed, documentMethod, null, { timeoutMs: TIMEOUT_MS }))
      } catch (error) {
        failure = error
      }
    }
    throw failure ?? new AtollError('ATOLL_UNREACHABLE', `seeds must name a node other than ${node}`)
  } finally {
    await endpoint.close()
  }
}
