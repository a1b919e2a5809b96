import { systemRuntime } from '@atoll/node'
import { type Connection, MemoryNetwork, type RpcEndpoint } from '@atoll/transport'
import { bodies } from '../bodies.ts'
import { type Load, measureRound, type Subject } from '../measure.ts'
import { BareClient } from './bare-client.ts'
import { BODY_BYTES } from './bare-servers.ts'
import { certificates } from './certificates.ts'
import { type ClusterRow, type ClusterRowHead, clusterRow } from './cluster-report.ts'
import type { Way } from './commands.ts'
import { PeerProcess } from './peer-process.ts'
import { inTurn } from './rounds.ts'
import { ANY_PORT, echoMethod, openEndpoint, sinkMethod, tcpOf } from './rpc-echo.ts'

const ROUNDS = 3
/** As many as a probe of the failure detector has, with its news. */
const SMALL_BYTES = 64
const ALONE: Load = { operations: 3000, concurrency: 1 }
const PIPELINED: Load = { operations: 20_000, concurrency: 64 }
const BODIES: Load = { operations: 120, concurrency: 4 }
const CALL = { timeoutMs: 30_000 }
const HERE = 'n1'
const THERE = 'n2'
export const SECRET = 'known to both ends, and to nobody else'

type Exchange = (bytes: Uint8Array) => Promise<unknown>

/** One way of talking: what carries messages and bodies, and what would be the least for it. */
interface Talk {
  readonly name: string
  readonly message: Exchange
  readonly leastMessage: Exchange
  readonly leastMessageIs: string
  /** Undefined where bodies are not copied at all. */
  readonly bodies: { readonly send: Exchange; readonly least: Exchange } | undefined
}

/** Messages and bodies between two processes over TCP and TLS, and inside one over the network in memory. */
export async function messageRows(onRow: (row: ClusterRow) => void): Promise<void> {
  await inMemory((talk) => measureTalk(talk, onRow))
  const files = await certificates([HERE, THERE])
  const peer = new PeerProcess()
  try {
    await peer.started
    await overTcp('TCP', peer, { of: () => ({ secret: SECRET }) }, (talk) => measureTalk(talk, onRow))
    const of = (node: string) => ({ tls: files.get(node) })
    await overTcp('TLS', peer, { of }, (talk) => measureTalk(talk, onRow))
  } finally {
    await peer.kill()
  }
}

async function measureTalk(talk: Talk, onRow: (row: ClusterRow) => void): Promise<void> {
  const { name, message, leastMessage, leastMessageIs, bodies: large } = talk
  const small = bodies(SMALL_BYTES)
  const pair = { subject: subjectOf(message, small), limit: subjectOf(leastMessage, small) }
  const about = (what: string, load: Load, unit: ClusterRow['unit']): ClusterRowHead => {
    return { name: `${what}, ${name}`, concurrency: load.concurrency, unit, limitIs: leastMessageIs }
  }
  onRow(await measured(about('round trip of 64 B', ALONE, 'µs'), pair, ALONE))
  onRow(await measured(about('round trips of 64 B', PIPELINED, 'op/s'), pair, PIPELINED))
  if (large === undefined) return
  const bodyOf = bodies(BODY_BYTES)
  const sending = { subject: subjectOf(large.send, bodyOf), limit: subjectOf(large.least, bodyOf) }
  onRow(await measured(about('bodies of 1 MiB', BODIES, 'MB/s'), sending, BODIES))
}

interface Pair {
  readonly subject: Subject
  readonly limit: Subject
}

async function measured(head: ClusterRowHead, { subject, limit }: Pair, load: Load): Promise<ClusterRow> {
  let from = 0
  const sample = async (of: Subject) => {
    const { bytes, seconds, operations, latency } = await measureRound(of, load, from)
    from += operations
    const figures = {
      µs: latency.getValueAtPercentile(50),
      ms: latency.getValueAtPercentile(50) / 1000,
      'op/s': operations / seconds,
      'MB/s': bytes / seconds / 1e6,
    }
    return { figure: figures[head.unit], p99Us: latency.getValueAtPercentile(99) }
  }
  return clusterRow(
    head,
    await inTurn(ROUNDS, { subject: () => sample(subject), limit: () => sample(limit) }),
  )
}

function subjectOf(exchange: Exchange, bodyOf: (n: number) => Uint8Array): Subject {
  return {
    operation: async (n) => {
      const body = bodyOf(n)
      await exchange(body)
      return body.length
    },
    close: () => Promise.resolve(),
  }
}

async function overTcp(
  name: string,
  peer: PeerProcess,
  { of }: { readonly of: (node: string) => Way },
  run: (talk: Talk) => Promise<void>,
): Promise<void> {
  const { tls } = of(HERE)
  const ports = await peer.ask('bareServers', of(THERE).tls)
  const echo = await BareClient.dial(ports.echo, tls, SMALL_BYTES)
  const sink = await BareClient.dial(ports.sink, tls, 1)
  const address = await peer.ask('rpcServer', THERE, of(THERE))
  const addresses = new Map([
    [HERE, ANY_PORT],
    [THERE, address],
  ])
  const endpoint = await openEndpoint(HERE, tcpOf(HERE, of(HERE)), addresses)
  await run({
    name,
    ...callsOf(endpoint),
    leastMessage: (bytes) => echo.exchange(bytes),
    leastMessageIs: `a bare ${name === 'TLS' ? 'TLS socket' : 'socket'} with the same process and bytes`,
    bodies: {
      send: (body) => endpoint.call(THERE, sinkMethod, body, CALL),
      least: (body) => sink.exchange(body),
    },
  })
  await endpoint.close()
  echo.close()
  sink.close()
}

async function inMemory(run: (talk: Talk) => Promise<void>): Promise<void> {
  const network = new MemoryNetwork(systemRuntime())
  const there = await openEndpoint(THERE, network.transport(THERE), new Map())
  const here = await openEndpoint(HERE, network.transport(HERE), new Map())
  const frames = await bareFrames(network)
  await run({
    name: 'memory',
    ...callsOf(here),
    leastMessage: frames,
    leastMessageIs: 'a frame there and back on the same network, without calls',
    bodies: undefined,
  })
  await here.close()
  await there.close()
}

/** Frames to somebody who sends them back. */
async function bareFrames(network: MemoryNetwork): Promise<Exchange> {
  const sendBack = (connection: Connection) => {
    connection.onFrame = (frame) => void connection.send(frame)
  }
  await network.transport('echo').listen('echo', sendBack)
  const connection = await network.transport('caller').connect('echo', CALL)
  const waiting: (() => void)[] = []
  connection.onFrame = () => waiting.shift()?.()
  return (head) =>
    new Promise<void>((resolve) => {
      waiting.push(resolve)
      void connection.send({ head })
    })
}

function callsOf(endpoint: RpcEndpoint): Pick<Talk, 'message'> {
  return { message: (bytes) => endpoint.call(THERE, echoMethod, bytes, CALL) }
}
