/** What pages take for given: their readers have it, and showing how to make it would hide what a page is about. */
export interface Given {
  /** Stands before each block of the page. */
  readonly code: string
  /** Why the page is compiled and not run; default it is run. */
  readonly notRun?: string
  /** The error code with which a block of the page ends. */
  readonly rejects?: string
}

/** A module beside the blocks: nodes of one process, as far as the lower packages know of nodes. */
export const MADE = `import { crc32 } from 'node:zlib'
import { AcceptorHost, type AcceptorStorage } from '@atoll/consensus'
import { utf8 } from '@atoll/core'
import { systemRuntime } from '@atoll/node'
import { claim, createRing, Placement } from '@atoll/ring'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { VnodeHost } from '@atoll/vnode'
import { MemoryLevel } from 'memory-level'

export const runtime = systemRuntime()
export const members = ['n1', 'n2', 'n3']
export const owners: string[] = new Array(64).fill('n1')
export const placement = new Placement(
  createRing({ partitions: 64, owners: claim({ partitions: 64, members: members.map((node) => ({ node })) }).owners }),
)
export const content = {
  value: utf8('red'), metadata: new Map(), tombstone: false, expiresAtMs: undefined, indexes: [],
}
export const valueCrc32 = crc32(content.value)
export const writeId = new Uint8Array(16)

const network = new MemoryNetwork(runtime)

export function endpointOf(node: string): RpcEndpoint {
  return new RpcEndpoint(runtime, { transport: network.transport(node), addressOf: (name) => name }, { node })
}

export async function hostOf(node: string): Promise<VnodeHost> {
  const parts = { database: new MemoryLevel(), policyOf: () => ({ kind: 'siblings' }) as const }
  const host = new VnodeHost(runtime, parts, { node, partitions: 64 })
  await host.open()
  return host
}

function acceptor(): AcceptorHost {
  const states = new Map<string, Awaited<ReturnType<AcceptorStorage['load']>>>()
  const load: AcceptorStorage['load'] = async (register) => states.get(register.join())
  const save: AcceptorStorage['save'] = async (register, state) => void states.set(register.join(), state)
  return new AcceptorHost({ storage: { load, save } })
}

export const acceptors = new Map(members.map((node) => [node, acceptor()]))
`

/** One node with a bucket, as an operator has. */
const NODE = `import { openNode } from '@atoll/store'
const node = await openNode()
await node.objects.createBucket('letters')`

export const GIVEN: Readonly<Record<string, Given>> = {
  'README.md': { code: '', notRun: 'a test of store runs its programs, with what they print' },
  'docs/NODES.md': {
    code: `import { openNode, type OpenNodeOptions } from '@atoll/store'
      declare const path: string, name: string, transport: NonNullable<OpenNodeOptions['transport']>`,
    notRun: 'it names machines that are not there',
  },
  'docs/OPERATING.md': { code: NODE },
  'examples/03-your-own-test/README.md': {
    code: `import { createWorld } from '@atoll/sim'
      import { createCluster } from '@atoll/node'`,
  },
  'packages/causality/README.md': {
    code: `import { crc32 } from 'node:zlib'
      import { runtime } from './made.mjs'
      const { random, clock } = runtime`,
  },
  'packages/conformance/README.md': {
    code: `import type { TestedDatabase } from '@atoll/conformance'
      declare const MyLevel: new (directory: string, options?: object) => TestedDatabase
      declare const freshDirectory: () => string, directoryOf: (closed: unknown) => string`,
    notRun: 'tests of value-log-level and of sim run the suite',
  },
  'packages/consensus/README.md': {
    code: `import { utf8 } from '@atoll/core'
      import type { AcceptorHost, Acceptors } from '@atoll/consensus'
      import { acceptors as hosts, runtime } from './made.mjs'
      const at = (node: string): AcceptorHost => { const host = hosts.get(node); if (host === undefined) throw new Error(node); return host }
      const acceptors: Acceptors = { prepare: (node, ...asked) => at(node).prepare(asked[0], asked[1]), accept: (node, ...asked) => at(node).accept(asked[0], asked[1]) }`,
  },
  'packages/coordinator/README.md': {
    code: `import { utf8 } from '@atoll/core'
      import { serveVnodes, VnodeReplicas } from '@atoll/replicas'
      import { endpointOf, hostOf, members, placement, runtime } from './made.mjs'
      const endpoint = endpointOf('n1'), host = await hostOf('n1')
      serveVnodes(endpoint, host)
      const others = await Promise.all(members.slice(1).map(async (node) => { const other = endpointOf(node); serveVnodes(other, await hostOf(node)); return other }))
      await Promise.all([endpoint, ...others].map((one) => one.open()))
      const replicas = new VnodeReplicas({ node: 'n1', host, endpoint })
      const liveness = { isUp: () => true, statusOf: () => 'alive' as const }`,
  },
  'packages/gossip/README.md': {
    code: `import { utf8 } from '@atoll/core'
      import { Gossip as OtherGossip } from '@atoll/gossip'
      import { endpointOf, members, runtime } from './made.mjs'
      const document = { version: () => 1, read: () => utf8('the document'), learn: async () => {} }
      const endpoint = endpointOf('n1'), others = members.slice(1).map((node) => ({ node, endpoint: endpointOf(node) }))
      await Promise.all([endpoint, ...others.map((one) => one.endpoint)].map((one) => one.open()))
      await Promise.all(others.map(async (one) => { const other = new OtherGossip(runtime, { endpoint: one.endpoint, document }, { node: one.node }); other.setMembers(members); await other.open() }))`,
  },
  'packages/handoff/README.md': {
    code: `import { Handoffs as OtherHandoffs } from '@atoll/handoff'
      import { endpointOf, hostOf, owners, runtime } from './made.mjs'
      const endpoint = endpointOf('n1'), host = await hostOf('n1')
      const other = { endpoint: endpointOf('n2'), host: await hostOf('n2') }
      await new OtherHandoffs(runtime, other).open()
      await other.endpoint.open()`,
  },
  'packages/membership/README.md': {
    code: `import { endpointOf, runtime } from './made.mjs'
      const endpoint = endpointOf('n1'), values = new Map<string, Uint8Array>()
      const storage = { get: async (key: string) => values.get(key), put: async (key: string, value: Uint8Array) => void values.set(key, value) }`,
  },
  'packages/objects/README.md': {
    code: `import { createReadStream, writeFileSync } from 'node:fs'
      import { PassThrough, Readable } from 'node:stream'
      import { pipeline } from 'node:stream/promises'
      import { ClassicLevel } from 'classic-level'
      import { runtime } from './made.mjs'
      const response = new PassThrough().resume()
      writeFileSync('reef.jpg', new Uint8Array(100_000))`,
  },
  'packages/replicas/README.md': {
    code: `import { serveVnodes as serveOther } from '@atoll/replicas'
      import { utf8 } from '@atoll/core'
      import { content, endpointOf, hostOf, owners, runtime, valueCrc32, writeId } from './made.mjs'
      const endpoint = endpointOf('n1'), host = await hostOf('n1'), other = endpointOf('n2')
      serveOther(other, await hostOf('n2'))
      await other.open()
      const id = { type: 'default', bucket: utf8('fruit'), key: utf8('apple') }
      const { record } = await host.coordinate({ partition: 7, id, content, valueCrc32, writeId, context: undefined })`,
  },
  'packages/ring/README.md': { code: 'const bucket = new Uint8Array([1]), key = new Uint8Array([2])' },
  'packages/transport/README.md': {
    code: `import { fromUtf8, utf8 } from '@atoll/core'
      import { runtime } from './made.mjs'`,
    rejects: 'ATOLL_TIMEOUT',
  },
  'packages/transport-tcp/README.md': {
    code: `import type { Runtime } from '@atoll/core'
      import { tcpTransport, type TlsOptions } from '@atoll/transport-tcp'
      declare const runtime: Runtime, tls: TlsOptions`,
    notRun: 'it names machines and keys that are not there',
  },
  'packages/vnode/README.md': {
    code: `import { utf8 } from '@atoll/core'
      import { ClassicLevel } from 'classic-level'
      import { content, runtime, valueCrc32, writeId } from './made.mjs'`,
  },
}
