import type { KeyId } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { GetOptions } from '@atoll/objects'
import { bodies } from '../bodies.ts'
import { isEarlier } from '../own-folder.ts'
import { partitionsOf, storeOf } from '../store-of.ts'
import { ANY_PORT, CLUSTER, type Commands, type LoadOrder, type NodeOrder } from './commands.ts'
import { runLoad } from './run-load.ts'

type PartitionOf = Awaited<ReturnType<typeof partitionsOf>>

type NodeCommands = Omit<
  Commands,
  'bareServers' | 'rpcServer' | 'receiveFile' | 'sendFile' | 'bareLoad' | 'usage'
>

export const BUCKET = 'bench'
const REPLICAS = 3
const LOOK_MS = 5

/** What a process can do with its one node, which is made of the packages of a folder. */
export function nodeCommands(packages: string): NodeCommands {
  let opened: AtollNode | undefined
  let puts = 0
  const node = () => {
    if (opened === undefined) throw new Error('no node is open')
    return opened
  }
  const bodyOf = new Map<number, (n: number) => Uint8Array>()
  return {
    imports: async () => void (await storeOf(packages)),
    open: async (order) => {
      opened = await openIn(order, packages)
      return opened.address
    },
    close: async () => {
      await node().close()
      opened = undefined
    },
    createBucket: async () => void (await node().objects.createBucket(BUCKET)),
    put: async (key, bytes) => {
      const body = bodyOf.get(bytes) ?? bodies(bytes)
      bodyOf.set(bytes, body)
      await node().objects.put(BUCKET, key, body(puts++))
    },
    get: (key) => sizeOf(node(), key, packages),
    load: (order) => runLoad(order, operationOf(node(), order, packages)),
    move: () => move(node()),
    replace: async (name, by) => {
      await node().cluster.stage({ kind: 'replace', node: name, by })
      return move(node())
    },
    recordsOf: (key) => node().objects.recordsOf(BUCKET, key),
    up: async () => [...node().cluster.document.members.keys()].filter((member) => node().isUp(member)),
    lacking: async (records) => lacking(node(), records, await partitionsOf(packages)),
    share: async (records) => {
      const partitionOf = await partitionsOf(packages)
      return records.filter((id) => isFor(node(), partitionIn(node(), id, partitionOf))).length
    },
    foreign: async () => {
      const held = await node().vnodes.partitions()
      return held.filter((partition) => !isFor(node(), partition)).length
    },
  }
}

async function openIn({ way, seeds, ...order }: NodeOrder, packages: string): Promise<AtollNode> {
  const { openNode, tcp } = await storeOf(packages)
  const transport = tcp({ cluster: CLUSTER, listen: ANY_PORT, ...way })
  const addresses = Object.values(seeds)
  // One of an earlier build goes by names, and begins a cluster where it is given none.
  const known = isEarlier(packages) ? { seeds } : { seeds: addresses, begin: addresses.length === 0 }
  return openNode({ ...order, ...known, transport })
}

function operationOf(
  node: AtollNode,
  { kind, sizeBytes, keys }: LoadOrder,
  packages: string,
): (n: number) => Promise<number> {
  const keyOf = (n: number) => `${sizeBytes} ${n % keys}`
  if (kind === 'get') {
    return async (n) => {
      const bytes = await sizeOf(node, keyOf(n), packages)
      if (bytes !== sizeBytes) throw new Error(`object ${keyOf(n)} has ${bytes} bytes`)
      return bytes
    }
  }
  const bodyOf = bodies(sizeBytes)
  return async (n) => {
    await node.objects.put(BUCKET, keyOf(n), [bodyOf(n)])
    return sizeBytes
  }
}

/** Chunks are lent, unless it is a node of a build that does not know how to. */
export async function sizeOf(node: AtollNode, key: string, packages: string): Promise<number> {
  const options: GetOptions = isEarlier(packages) ? {} : { chunks: 'lent' }
  let bytes = 0
  for await (const chunk of (await node.objects.get(BUCKET, key, options)).body) bytes += chunk.length
  return bytes
}

/** Commits what is staged; milliseconds from then until nothing is left to move. */
export async function move(node: AtollNode): Promise<number> {
  const { cluster } = node
  const plan = await cluster.plan()
  const startedMs = performance.now()
  await cluster.commit(plan)
  while (cluster.document.moves.length > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  return performance.now() - startedMs
}

async function lacking(
  node: AtollNode,
  records: readonly KeyId[],
  partitionOf: PartitionOf,
): Promise<number> {
  let count = 0
  for (const id of records) {
    const partition = partitionIn(node, id, partitionOf)
    if (!isFor(node, partition)) continue
    if ((await node.vnodes.get({ partition, id })).record === undefined) count += 1
  }
  return count
}

function partitionIn(node: AtollNode, id: KeyId, partitionOf: PartitionOf): number {
  return partitionOf(id, node.ring.partitions, node.runtime.digest.sha1)
}

function isFor(node: AtollNode, partition: number): boolean {
  return node.placement.primaries(partition, REPLICAS).some((holder) => holder.node === node.name)
}
