import type { TupleReader } from '@atoll/core'
import { type Method, RpcEndpoint, type StreamMethod, type TransportFactory } from '@atoll/transport'
import { createRuntime } from './world.ts'

const text = {
  encode: (value: string) => ({ tuple: [value] }),
  decode: (reader: TupleReader) => reader.string(),
}
const count = {
  encode: (value: number) => ({ tuple: [value] }),
  decode: (reader: TupleReader) => reader.uint(),
}
const bytes = {
  encode: (body: Uint8Array) => ({ tuple: [], body }),
  decode: (_: TupleReader, body: Uint8Array) => body,
}

export const ECHO: Method<string, string> = { name: 'talk.echo', request: text, response: text }
/** Answers how many blocks were put before it came. */
export const PING: Method<string, number> = {
  name: 'talk.ping',
  request: text,
  response: count,
  urgent: true,
}
/** Counts to a number, and tells so. */
export const STEPS: Method<number, string, number> = {
  name: 'talk.steps',
  request: count,
  response: text,
  progress: count,
}
export const PUT: Method<Uint8Array, Uint8Array> = { name: 'talk.put', request: bytes, response: bytes }
/** Answers when whoever calls has had nothing to do for a while. */
export const LATER: Method<string, string> = { name: 'talk.later', request: text, response: text }
/** Never answers. */
export const WAIT: Method<string, string> = { name: 'talk.wait', request: text, response: text }
/** Sends back what it gets. */
export const COPY: StreamMethod<string> = { name: 'talk.copy', request: text }

/** A node that talks, for tests: over any transport, in any process. */
export function createTalker(node: string, factory: TransportFactory, addressOf: (node: string) => string) {
  const { runtime, metrics } = createRuntime()
  const endpoint = new RpcEndpoint(
    runtime,
    {
      transport: factory.create(runtime, node),
      addressOf: (name) => (name === node ? factory.listen : addressOf(name)),
    },
    { node, clusterName: factory.clusterName, capabilities: ['talk'], connectTimeoutMs: 60_000 },
  )
  let blocks = 0
  endpoint.handle(ECHO, async (request, { from }) => `${request} from ${from}`)
  endpoint.handle(PING, async () => blocks)
  endpoint.handle(STEPS, async (steps, context) => {
    for (let step = 1; step <= steps; step++) context.progress(step)
    return 'there'
  })
  endpoint.handle(PUT, async (body) => {
    blocks += 1
    return body
  })
  endpoint.handle(LATER, async (request) => {
    await runtime.clock.sleep(300)
    return request
  })
  endpoint.handle(WAIT, () => new Promise<string>(() => {}))
  endpoint.handleStream(COPY, async (_request, stream) => {
    for await (const chunk of stream) await stream.write(chunk)
    await stream.end()
  })
  return { endpoint, metrics, runtime }
}
