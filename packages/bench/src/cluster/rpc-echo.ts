import { systemRuntime } from '@atoll/node'
import { type Method, RpcEndpoint, type Transport } from '@atoll/transport'
import { tcp } from '@atoll/transport-tcp'
import { CLUSTER } from './certificates.ts'
import type { Way } from './commands.ts'

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
export async function rpcServer(name: string, way: Way): Promise<string> {
  const endpoint = await openEndpoint(name, tcpOf(name, way), new Map([[name, ANY_PORT]]))
  return endpoint.address
}

/** An endpoint that answers both methods. */
export async function openEndpoint(
  node: string,
  transport: Transport,
  addresses: ReadonlyMap<string, string>,
): Promise<RpcEndpoint> {
  const addressOf = (of: string) => addresses.get(of) ?? of
  const endpoint = new RpcEndpoint(systemRuntime(), { transport, addressOf }, { node, clusterName: CLUSTER })
  endpoint.handle(echoMethod, async (bytes) => bytes)
  endpoint.handle(sinkMethod, async ({ length }) => length)
  await endpoint.open()
  return endpoint
}

export function tcpOf(name: string, way: Way): Transport {
  return tcp({ cluster: CLUSTER, listen: ANY_PORT, ...way }).create(systemRuntime(), name)
}

export const ANY_PORT = '127.0.0.1:0'
