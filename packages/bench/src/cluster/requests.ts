import { KiB, MiB } from '@atoll/core'
import { type AtollNode, systemRuntime } from '@atoll/node'
import { openCluster, openNode } from '@atoll/store'
import { tcp } from '@atoll/transport-tcp'
import { bodies } from '../bodies.ts'
import { measureRound, type Round } from '../measure.ts'
import { CLUSTER, certificates } from './certificates.ts'
import { type ClusterRow, clusterRow } from './cluster-report.ts'
import type { Way } from './commands.ts'
import { SECRET } from './messages.ts'
import { BUCKET, move, sizeOf } from './node-commands.ts'
import { inTurn, type Sample } from './rounds.ts'
import { ANY_PORT } from './rpc-echo.ts'

const NAMES = ['n1', 'n2', 'n3']
const ROUNDS = 3

const SHAPES = [
  { label: '4 KiB', sizeBytes: 4 * KiB, operations: 600, concurrency: 32, unit: 'op/s' },
  { label: '1 MiB', sizeBytes: MiB, operations: 32, concurrency: 8, unit: 'MB/s' },
] as const

type Shape = (typeof SHAPES)[number]

/**
 * Three nodes of this process, their data in memory, over TCP and TLS, and beside them the same over the network in
 * memory.
 */
export async function requestRows(onRow: (row: ClusterRow) => void): Promise<void> {
  await using memory = await openCluster({ nodes: NAMES })
  const limit = memory.node(1)
  await limit.objects.createBucket(BUCKET)
  const files = await certificates(NAMES)
  const ways = [
    { name: 'TCP', of: (): Way => ({ secret: SECRET }) },
    { name: 'TLS', of: (node: string): Way => ({ tls: files.get(node) }) },
  ]
  for (const { name, of } of ways) {
    const nodes = await openNodes(of)
    try {
      const [subject] = nodes
      await subject.objects.createBucket(BUCKET)
      for (const shape of SHAPES) await measureShape({ name, shape, subject, limit }, onRow)
    } finally {
      for (const node of nodes.reverse()) await node.close()
    }
  }
}

interface Case {
  readonly name: string
  readonly shape: Shape
  readonly subject: AtollNode
  readonly limit: AtollNode
}

async function measureShape({ name, shape, subject, limit }: Case, onRow: (row: ClusterRow) => void) {
  const { label, concurrency, unit, sizeBytes } = shape
  const head = { concurrency, unit, limitIs: 'the same over the network in memory' }
  const bodyOf = bodies(sizeBytes)
  const put = (node: AtollNode) => {
    return roundOf(shape, async (n) => {
      await node.objects.put(BUCKET, keyOf(shape, n), [bodyOf(n)])
      return sizeBytes
    })
  }
  const get = (node: AtollNode) => {
    return roundOf(shape, async (n) => {
      const bytes = await sizeOf(node, keyOf(shape, n))
      if (bytes !== sizeBytes) throw new Error(`object ${n} has ${bytes} bytes, not ${sizeBytes}`)
      return bytes
    })
  }
  const pairs = { PUT: put, GET: get }
  for (const [verb, run] of Object.entries(pairs)) {
    const samples = await inTurn(ROUNDS, { subject: () => run(subject), limit: () => run(limit) })
    onRow(clusterRow({ ...head, name: `${verb} ${label}, three nodes, ${name}` }, samples))
  }
}

/** Every round goes over the same keys. */
async function roundOf(shape: Shape, operation: (n: number) => Promise<number>): Promise<Sample> {
  const round: Round = await measureRound({ operation, close: () => Promise.resolve() }, shape, 0)
  const { operations, bytes, seconds, latency } = round
  const figure = shape.unit === 'op/s' ? operations / seconds : bytes / seconds / 1e6
  return { figure, p99Us: latency.getValueAtPercentile(99) }
}

function keyOf({ label }: Shape, n: number): string {
  return `${label} ${n}`
}

/** The first begins a cluster, the others join it. */
async function openNodes(of: (node: string) => Way): Promise<[AtollNode, ...AtollNode[]]> {
  // As those of the other cluster, they share threads for digests.
  const { digest } = systemRuntime()
  const open = (name: string, seeds: readonly string[]) => {
    const transport = tcp({ cluster: CLUSTER, listen: ANY_PORT, ...of(name) })
    return openNode({ name, begin: NAMES[0] ?? false, seeds, transport, runtime: systemRuntime({ digest }) })
  }
  const [first = 'n1', ...rest] = NAMES
  const node = await open(first, [])
  const others = []
  for (const name of rest) others.push(await open(name, [node.address]))
  await move(node)
  return [node, ...others]
}
