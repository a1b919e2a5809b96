import type { Runtime } from '@atoll/core'
import type { MemoryNetwork, Transport, TransportFactory } from '@atoll/transport'

/** The network as one node sees it. */
export interface NodeNetwork {
  readonly transport: Transport
  readonly listen: string
  /** What others are told; undefined for what the listener says. */
  readonly advertise: string | undefined
  /** By which nodes of one cluster know each other before they have a document in common. */
  readonly clusterName: string
}

export function networkOf(factory: TransportFactory, runtime: Runtime, node: string): NodeNetwork {
  const { clusterName, listen, advertise } = factory
  return { transport: factory.create(runtime, node), clusterName, listen, advertise }
}

/** A network inside the process, where addresses are the names of nodes. */
export function memoryNetworkOf(network: MemoryNetwork, node: string): NodeNetwork {
  return { transport: network.transport(node), clusterName: 'memory', listen: node, advertise: node }
}
