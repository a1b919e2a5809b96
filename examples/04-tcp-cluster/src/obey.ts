import { messageOf } from '@atoll/core'
import { type AtollNode, describeChange } from '@atoll/node'
import type { Answer, Commands, Question } from './commands.ts'

/** Lets the parent process tell a node what to do, until it says `close` or is gone. */
export function obey(node: AtollNode): void {
  const commands = commandsFor(node)
  process.on('message', (question: Question) => void answer(commands, question))
  process.once('disconnect', () => process.exit())
  tell({ id: 0 })
}

function commandsFor(node: AtollNode): Commands {
  const { objects, cluster } = node
  return {
    createBucket: async (bucket) => {
      await objects.createBucket(bucket)
    },
    put: async (bucket, key, body) => {
      await objects.put(bucket, key, body)
    },
    get: async (bucket, key) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of (await objects.get(bucket, key)).body) chunks.push(chunk)
      return Buffer.concat(chunks)
    },
    count: (bucket, keys) => count(node, bucket, keys),
    leave: async (member) => {
      await cluster.stage({ kind: 'leave', node: member })
    },
    commit: async () => {
      const plan = await cluster.plan()
      await cluster.commit(plan)
      const { moved, leastMoves } = plan
      return { changes: plan.changes.map(describeChange), moved, leastMoves }
    },
    status: async () => {
      const { epoch, members, pendingMoves: pending } = cluster.status()
      const seen = members.map(({ node: name, state, liveness, replicas }) => ({
        node: name,
        state,
        up: liveness === 'alive',
        replicas,
      }))
      return { epoch, members: seen, pending }
    },
    close: () => node.close(),
  }
}

async function count(node: AtollNode, bucket: string, keys: readonly string[]) {
  const partitions = await node.vnodes.partitions()
  let [records, replicas] = [0, 0]
  for (const key of keys) {
    for (const id of await node.objects.recordsOf(bucket, key)) {
      records += 1
      for (const partition of partitions)
        if ((await node.vnodes.get({ partition, id })).record !== undefined) replicas += 1
    }
  }
  return { records, replicas }
}

async function answer(commands: Commands, { id, command, args }: Question): Promise<void> {
  try {
    tell({ id, result: await Reflect.apply(commands[command], undefined, args) })
  } catch (error) {
    tell({ id, error: messageOf(error) })
  }
  if (command === 'close') process.disconnect()
}

function tell(answer: Answer): void {
  process.send?.(answer)
}
