import { createHash } from 'node:crypto'
import { isAtollError, type KeyId, messageOf } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { type OpenNodeOptions, openNode } from '@atoll/store'
import { tcp } from '@atoll/transport-tcp'
import { bytesOf } from './bodies.ts'
import type { Answer, Commands, Order, Question } from './commands.ts'

type Node = Awaited<ReturnType<typeof openNode>>

const BUCKET = 'reef'
const REPLICAS = 3

process.once('message', async ({ transport, ...order }: Order) => {
  const options: OpenNodeOptions = { ...order, partitions: 32, n: REPLICAS, transport: tcp(transport) }
  try {
    const node = await openNode(options)
    const commands = commandsFor(node)
    process.on('message', (question: Question) => void answer(commands, question))
    tell({ id: 0, result: node.address })
  } catch (error) {
    tell(failure(0, error))
  }
})
// Whoever started it is gone.
process.once('disconnect', () => process.exit())

function commandsFor(node: Node): Commands {
  const { objects, cluster } = node
  return {
    createBucket: async () => void (await objects.createBucket(BUCKET)),
    commit: async () => void (await cluster.commit(await cluster.plan())),
    layout: async () => {
      const { epoch, pendingMoves } = cluster.status()
      return { epoch, pendingMoves }
    },
    put: async (key, body) => void (await objects.put(BUCKET, key, bytesOf(body))),
    get: async (key) => {
      const hash = createHash('sha256')
      for await (const chunk of (await objects.get(BUCKET, key)).body) hash.update(chunk)
      return hash.digest('hex')
    },
    remove: async (key) => (await objects.delete(BUCKET, key)).deleted,
    list: async () => (await objects.list(BUCKET)).objects.map(({ key }) => key),
    recordsOf: (key) => objects.recordsOf(BUCKET, key),
    up: async () =>
      cluster
        .status()
        .members.map(({ node: member }) => member)
        .filter((member) => node.isUp(member)),
    lacking: (records) => lacking(node, records),
    foreign: async () => {
      const held = await node.vnodes.partitions()
      return held.filter((partition) => !holds(node, partition)).length
    },
    close: () => node.close(),
  }
}

async function lacking(node: Node, records: readonly KeyId[]): Promise<number> {
  let count = 0
  for (const id of records) {
    const partition = partitionOf(id, node.ring.partitions, node.runtime.digest.sha1)
    if (!holds(node, partition)) continue
    if ((await node.vnodes.get({ partition, id })).record === undefined) count += 1
  }
  return count
}

function holds(node: Node, partition: number): boolean {
  return node.placement.primaries(partition, REPLICAS).some((holder) => holder.node === node.name)
}

async function answer(commands: Commands, { id, command, args }: Question): Promise<void> {
  try {
    tell({ id, result: await Reflect.apply(commands[command], undefined, args) })
  } catch (error) {
    tell(failure(id, error))
  }
  if (command === 'close') process.disconnect()
}

function failure(id: number, error: unknown): Answer {
  return { id, code: isAtollError(error) ? error.code : 'other', error: messageOf(error) }
}

function tell(told: Answer): void {
  process.send?.(told)
}
