import { KiB, MiB } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { bodies } from '../bodies.ts'
import { measureRound, type Round } from '../measure.ts'
import { isEarlier } from '../own-folder.ts'
import { runtimesOf, storeOf } from '../store-of.ts'
import { certificates } from './certificates.ts'
import { type ClusterRow, clusterRow } from './cluster-report.ts'
import { ANY_PORT, CLUSTER, SECRET, type Way } from './commands.ts'
import { BUCKET, move, sizeOf } from './node-commands.ts'
import { inTurn, type Sample } from './rounds.ts'

const NAMES = ['n1', 'n2', 'n3']
const ROUNDS = 7

/**
 * What comes before the first round makes V8 compile what is measured. There are few keys of 1 MiB: with three copies of
 * 32 in memory, on either side, V8 collected all of its heap for every PUT or so.
 */
const SHAPES = [
  {
    label: '4 KiB',
    sizeBytes: 4 * KiB,
    keys: 600,
    put: { operations: 1200, warmUp: 3600 },
    get: { operations: 3600, warmUp: 7200 },
    concurrency: 32,
    unit: 'op/s',
  },
  {
    label: '1 MiB',
    sizeBytes: MiB,
    keys: 16,
    put: { operations: 48, warmUp: 96 },
    get: { operations: 320, warmUp: 960 },
    concurrency: 8,
    unit: 'MB/s',
  },
] as const

type Shape = (typeof SHAPES)[number]

/**
 * Three nodes of this process, their data in memory, over TCP and TLS, and beside them the same over the network in
 * memory.
 */
export async function requestRows(packages: string, onRow: (row: ClusterRow) => void): Promise<void> {
  const { openCluster } = await storeOf(packages)
  await using memory = await openCluster({ nodes: NAMES })
  const limit = memory.node(1)
  await limit.objects.createBucket(BUCKET)
  const files = await certificates(NAMES)
  const ways = [
    { name: 'TCP', of: (): Way => ({ secret: SECRET }) },
    { name: 'TLS', of: (node: string): Way => ({ tls: files.get(node) }) },
  ]
  for (const { name, of } of ways) {
    const nodes = await openNodes(packages, of)
    try {
      const [subject] = nodes
      await subject.objects.createBucket(BUCKET)
      for (const shape of SHAPES) await measureShape({ packages, name, shape, subject, limit }, onRow)
    } finally {
      for (const node of nodes.reverse()) await node.close()
    }
  }
}

interface Case {
  readonly packages: string
  readonly name: string
  readonly shape: Shape
  readonly subject: AtollNode
  readonly limit: AtollNode
}

async function measureShape(
  { packages, name, shape, subject, limit }: Case,
  onRow: (row: ClusterRow) => void,
) {
  const { label, concurrency, unit, sizeBytes } = shape
  const head = { concurrency, unit, limitIs: 'the same over the network in memory' }
  const bodyOf = bodies(sizeBytes)
  const put = (node: AtollNode) => async (n: number) => {
    await node.objects.put(BUCKET, keyOf(shape, n), [bodyOf(n)])
    return sizeBytes
  }
  const get = (node: AtollNode) => async (n: number) => {
    const bytes = await sizeOf(node, keyOf(shape, n), packages)
    if (bytes !== sizeBytes) throw new Error(`object ${n} has ${bytes} bytes, not ${sizeBytes}`)
    return bytes
  }
  const verbs = [
    { verb: 'PUT', operation: put, load: shape.put },
    { verb: 'GET', operation: get, load: shape.get },
  ]
  for (const { verb, operation, load } of verbs) {
    const { operations, warmUp } = load
    for (const node of [limit, subject])
      await roundOf({ unit, concurrency, operations: warmUp }, operation(node))
    const run = (node: AtollNode) => roundOf({ unit, concurrency, operations }, operation(node))
    const samples = await inTurn(ROUNDS, { subject: () => run(subject), limit: () => run(limit) })
    onRow(clusterRow({ ...head, name: `${verb} ${label}, three nodes, ${name}` }, samples))
  }
}

/** Every round goes over the same keys. */
async function roundOf(
  { unit, ...load }: Pick<Shape, 'unit' | 'concurrency'> & { readonly operations: number },
  operation: (n: number) => Promise<number>,
): Promise<Sample> {
  const round: Round = await measureRound({ operation, close: () => Promise.resolve() }, load, 0)
  const { operations, bytes, seconds, latency, cpuSeconds } = round
  const figure = unit === 'op/s' ? operations / seconds : bytes / seconds / 1e6
  return { figure, p99Us: latency.getValueAtPercentile(99), cpuUs: (1e6 * cpuSeconds) / operations }
}

function keyOf({ label, keys }: Shape, n: number): string {
  return `${label} ${n % keys}`
}

/** The first begins a cluster, the others join it. */
async function openNodes(packages: string, of: (node: string) => Way): Promise<[AtollNode, ...AtollNode[]]> {
  const [{ openNode, tcp }, systemRuntime] = await Promise.all([storeOf(packages), runtimesOf(packages)])
  // As those of the other cluster, they share threads for digests.
  const { digest } = systemRuntime()
  const open = (name: string, seeds: Readonly<Record<string, string>>) => {
    const transport = tcp({ cluster: CLUSTER, listen: ANY_PORT, ...of(name) })
    const known = isEarlier(packages) ? { seeds } : { begin: NAMES[0] ?? false, seeds: Object.values(seeds) }
    return openNode({ name, ...known, transport, runtime: systemRuntime({ digest }) })
  }
  const [first = 'n1', ...rest] = NAMES
  const node = await open(first, {})
  const others = []
  for (const name of rest) others.push(await open(name, { [first]: node.address }))
  await move(node)
  return [node, ...others]
}
