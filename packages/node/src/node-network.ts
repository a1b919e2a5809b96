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
  /** Whether members of the cluster alone may call this node. */
  readonly membersOnly: boolean
  /** Where a node listens, if that follows from its name and is not to be asked of anybody. */
  readonly addressOf?: (node: string) => string
}

export function networkOf(
  factory: TransportFactory,
  runtime: Runtime,
  { node, membersOnly }: { readonly node: string; readonly membersOnly: boolean | undefined },
): NodeNetwork {
  const { clusterName, listen, advertise, certified = false } = factory
  const transport = factory.create(runtime, node)
  return { transport, clusterName, listen, advertise, membersOnly: membersOnly ?? certified }
}

/** A network inside the process, where addresses are the names of nodes. */
export function memoryNetworkOf(network: MemoryNetwork, node: string): NodeNetwork {
  const addressOf = (name: string) => name
  const transport = network.transport(node)
  const names = { clusterName: 'memory', listen: node, advertise: node, addressOf }
  return { ...names, transport, membersOnly: false }
}
