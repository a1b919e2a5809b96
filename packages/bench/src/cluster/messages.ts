import type { Connection, MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { bodies } from '../bodies.ts'
import { type Load, measureRound, type Subject } from '../measure.ts'
import { BareClient } from './bare-client.ts'
import { BODY_BYTES } from './bare-servers.ts'
import { certificates } from './certificates.ts'
import { type ClusterRow, type ClusterRowHead, clusterRow } from './cluster-report.ts'
import { ANY_PORT, SECRET, type Way } from './commands.ts'
import { PeerProcess } from './peer-process.ts'
import { inTurn } from './rounds.ts'
import { echoMethod, type Messages, messagesOf, sinkMethod } from './rpc-echo.ts'

const ROUNDS = 9
/** As many as a probe of the failure detector has, with its news. */
const SMALL_BYTES = 64
/** A round takes a fifth of a second or more, and as many before the first make V8 compile what is measured. */
const IN_MEMORY = {
  alone: { operations: 40_000, concurrency: 1 },
  pipelined: { operations: 60_000, concurrency: 64 },
} as const satisfies Loads
const BETWEEN_PROCESSES = {
  alone: { operations: 4000, concurrency: 1 },
  pipelined: { operations: 20_000, concurrency: 64 },
} as const satisfies Loads
const BODIES: Load = { operations: 300, concurrency: 4 }
const CALL = { timeoutMs: 30_000 }
const HERE = 'n1'
const THERE = 'n2'

type Exchange = (bytes: Uint8Array) => Promise<unknown>

interface Loads {
  readonly alone: Load
  readonly pipelined: Load
}

/** One way of talking: what carries messages and bodies, and what would be the least for it. */
interface Talk {
  readonly name: string
  readonly loads: Loads
  readonly message: Exchange
  readonly leastMessage: Exchange
  readonly leastMessageIs: string
  /** Undefined where bodies are not copied at all. */
  readonly bodies: { readonly send: Exchange; readonly least: Exchange } | undefined
  /** Microseconds of processor time that all of it has taken so far, at both ends. */
  readonly cpuUs: () => Promise<number>
}

/** Messages and bodies between two processes over TCP and TLS, and inside one over the network in memory. */
export async function messageRows(packages: string, onRow: (row: ClusterRow) => void): Promise<void> {
  const messages = await messagesOf(packages)
  const run = (talk: Talk) => measureTalk(talk, onRow)
  await inMemory(messages, run)
  const files = await certificates([HERE, THERE])
  const peer = new PeerProcess(packages)
  try {
    await peer.started
    await overTcp({ name: 'TCP', peer, messages, of: () => ({ secret: SECRET }) }, run)
    await overTcp({ name: 'TLS', peer, messages, of: (node) => ({ tls: files.get(node) }) }, run)
  } finally {
    await peer.kill()
  }
}

async function measureTalk(talk: Talk, onRow: (row: ClusterRow) => void): Promise<void> {
  const { name, message, leastMessage, leastMessageIs, bodies: large, cpuUs } = talk
  const { alone, pipelined } = talk.loads
  const small = bodies(SMALL_BYTES)
  const pair = { subject: subjectOf(message, small), limit: subjectOf(leastMessage, small), cpuUs }
  const about = (what: string, load: Load, unit: ClusterRow['unit']): ClusterRowHead => {
    return { name: `${what}, ${name}`, concurrency: load.concurrency, unit, limitIs: leastMessageIs }
  }
  onRow(await measured(about('round trip of 64 B', alone, 'µs'), pair, alone))
  onRow(await measured(about('round trips of 64 B', pipelined, 'op/s'), pair, pipelined))
  if (large === undefined) return
  const bodyOf = bodies(BODY_BYTES)
  const sending = { subject: subjectOf(large.send, bodyOf), limit: subjectOf(large.least, bodyOf), cpuUs }
  onRow(await measured(about('bodies of 1 MiB', BODIES, 'MB/s'), sending, BODIES))
}

interface Pair {
  readonly subject: Subject
  readonly limit: Subject
  readonly cpuUs: Talk['cpuUs']
}

async function measured(
  head: ClusterRowHead,
  { subject, limit, cpuUs }: Pair,
  load: Load,
): Promise<ClusterRow> {
  let from = 0
  const sample = async (of: Subject) => {
    const before = await cpuUs()
    const { bytes, seconds, operations, latency } = await measureRound(of, load, from)
    from += operations
    // Not the median of latencies, which are counted in whole microseconds: a call in memory takes five.
    const eachUs = (1e6 * seconds * load.concurrency) / operations
    const figures = {
      µs: eachUs,
      ms: eachUs / 1000,
      'op/s': operations / seconds,
      'MB/s': bytes / seconds / 1e6,
    }
    return {
      figure: figures[head.unit],
      p99Us: latency.getValueAtPercentile(99),
      cpuUs: ((await cpuUs()) - before) / operations,
    }
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

interface Between {
  readonly name: string
  readonly peer: PeerProcess
  readonly messages: Messages
  readonly of: (node: string) => Way
}

async function overTcp(
  { name, peer, messages, of }: Between,
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
  const endpoint = await messages.open(HERE, messages.tcp(HERE, of(HERE)), addresses)
  await run({
    name,
    loads: BETWEEN_PROCESSES,
    ...callsOf(endpoint),
    leastMessage: (bytes) => echo.exchange(bytes),
    leastMessageIs: `a bare ${name === 'TLS' ? 'TLS socket' : 'socket'} with the same process and bytes`,
    bodies: {
      send: (body) => endpoint.call(THERE, sinkMethod, body, CALL),
      least: (body) => sink.exchange(body),
    },
    cpuUs: async () => ownCpuUs() + 1e6 * (await peer.ask('usage')).cpuSeconds,
  })
  await endpoint.close()
  echo.close()
  sink.close()
}

async function inMemory(messages: Messages, run: (talk: Talk) => Promise<void>): Promise<void> {
  const network = messages.memory()
  const there = await messages.open(THERE, network.transport(THERE), new Map())
  const here = await messages.open(HERE, network.transport(HERE), new Map())
  const frames = await bareFrames(network)
  await run({
    name: 'memory',
    loads: IN_MEMORY,
    ...callsOf(here),
    leastMessage: frames,
    leastMessageIs: 'a frame there and back on the same network, without calls',
    bodies: undefined,
    cpuUs: () => Promise.resolve(ownCpuUs()),
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

function ownCpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

function callsOf(endpoint: RpcEndpoint): Pick<Talk, 'message'> {
  return { message: (bytes) => endpoint.call(THERE, echoMethod, bytes, CALL) }
}
