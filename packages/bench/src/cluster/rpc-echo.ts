import type { MemoryNetwork, Method, RpcEndpoint, Transport } from '@atoll/transport'
import { isEarlier } from '../own-folder.ts'
import { messagingOf, runtimesOf, storeOf } from '../store-of.ts'
import { ANY_PORT, CLUSTER, type Way } from './commands.ts'

/** A small message there and back. */
export const echoMethod: Method<Uint8Array, Uint8Array> = {
  name: 'bench.echo',
  request: { encode: (bytes) => ({ tuple: [bytes] }), decode: (reader) => reader.bytes() },
  response: { encode: (bytes) => ({ tuple: [bytes] }), decode: (reader) => reader.bytes() },
}

/** A body there, its size back. */
export const sinkMethod: Method<Uint8Array, number> = {
  name: 'bench.sink',
  request: { encode: (body) => ({ tuple: [], body }), decode: (_reader, body) => body },
  response: { encode: (size) => ({ tuple: [size] }), decode: (reader) => reader.uint() },
}

/** Answers both methods until the process ends; resolves with the address. */
export async function rpcServer(packages: string, name: string, way: Way): Promise<string> {
  const messages = await messagesOf(packages)
  const endpoint = await messages.open(name, messages.tcp(name, way), new Map([[name, ANY_PORT]]))
  return endpoint.address
}

/** The messages of a build. */
export interface Messages {
  /** An endpoint that answers both methods. */
  open(node: string, transport: Transport, addresses: ReadonlyMap<string, string>): Promise<RpcEndpoint>
  tcp(name: string, way: Way): Transport
  /** A network in this process. */
  memory(): MemoryNetwork
}

export async function messagesOf(packages: string): Promise<Messages> {
  const [{ MemoryNetwork, RpcEndpoint }, { tcp }, systemRuntime] = await Promise.all([
    messagingOf(packages),
    storeOf(packages),
    runtimesOf(packages),
  ])
  const cluster = isEarlier(packages) ? { clusterId: CLUSTER } : { clusterName: CLUSTER }
  return {
    open: async (node, transport, addresses) => {
      const addressOf = (of: string) => addresses.get(of) ?? of
      const endpoint = new RpcEndpoint(systemRuntime(), { transport, addressOf }, { node, ...cluster })
      return await answering(endpoint)
    },
    tcp: (name, way) => tcp({ cluster: CLUSTER, listen: ANY_PORT, ...way }).create(systemRuntime(), name),
    memory: () => new MemoryNetwork(systemRuntime()),
  }
}

async function answering(endpoint: RpcEndpoint): Promise<RpcEndpoint> {
  endpoint.handle(echoMethod, async (bytes) => bytes)
  endpoint.handle(sinkMethod, async ({ length }) => length)
  await endpoint.open()
  return endpoint
}
