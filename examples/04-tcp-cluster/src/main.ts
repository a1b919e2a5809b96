import { randomBytes } from 'node:crypto'
import { type NodeProcess, Processes } from './processes.ts'
import { chapter, expectSame, say, showMembers, until } from './story.ts'

const BUCKET = 'reef'
const REPLICAS = 3

chapter('Five processes on this machine, each with a certificate, a directory and a port of its own')
const processes = await Processes.create('reef', ['n1', 'n2', 'n3', 'n4', 'n5'])
const n1 = await start('n1')
const n2 = await start('n2', { seed: 'n1' })
const n3 = await start('n3', { seed: 'n1' })
const n4 = await start('n4', { seed: 'n2' })
const n5 = await start('n5', { seed: 'n4' })
say(
  'n1 has begun a cluster, and the others have asked a member over TLS to be let in. Now that is committed:',
)
await commitPlan(n1)

chapter('An object goes in through n1 and comes out of n4')
await n1.ask('createBucket', BUCKET)
const coral = randomBytes(5_000_000)
await n1.ask('put', BUCKET, 'coral', coral)
expectSame(await n4.ask('get', BUCKET, 'coral'), coral)

chapter('n3 is killed, with no time to say goodbye; reads and writes go on')
await n3.kill()
const notes = Array.from({ length: 20 }, (_, at) => `note ${at}`)
for (const note of notes) await n2.ask('put', BUCKET, note, Buffer.from(`${note}: n3 is away`))
expectSame(await n5.ask('get', BUCKET, 'coral'), coral)
say(`${notes.length} more objects went in through n2, and no request has failed`)
await until('n3 is known to be down', async () => !(await isUp(n4, 'n3')) || 'it is believed to be up')
showMembers(await n4.ask('status'))

chapter('n3 returns, and is given what it missed, though nobody reads it')
const returned = await start('n3')
await until('n3 has its replicas, and nobody else keeps them for it', async () => {
  const counts = await Promise.all([n1, n2, returned, n4, n5].map((node) => node.ask('count', BUCKET, notes)))
  const replicas = counts.map((count) => count.replicas)
  const expected = REPLICAS * (counts[0]?.records ?? 0)
  const whole = replicas[2] !== 0 && replicas.reduce((sum, one) => sum + one) === expected
  return whole || `of ${expected} replicas, n1 to n5 hold ${replicas.join(', ')}`
})
say(
  `n3 has ${(await returned.ask('count', BUCKET, notes)).replicas} replicas of what was written while it was away`,
)

chapter('n5 leaves: what it holds moves to the others first')
await n2.ask('leave', 'n5')
await commitPlan(n2)
await until('the others have let n5 go', async () => {
  const n5seen = (await n2.ask('status')).members.find(({ node }) => node === 'n5')
  return n5seen === undefined || `it is ${n5seen.state}`
})
say('n5 is no member any more, and may be stopped')
await n5.close()
expectSame(await returned.ask('get', BUCKET, 'coral'), coral)
for (const note of notes) expectSame(await n1.ask('get', BUCKET, note), Buffer.from(`${note}: n3 is away`))

await Promise.all([n1, n2, returned, n4].map((node) => node.close()))
say('every process has ended')

async function start(name: string, options: { readonly seed?: string } = {}): Promise<NodeProcess> {
  const node = await processes.start(name, options)
  say(`${name} is process ${node.pid}, and listens at ${node.address}`)
  return node
}

/** Commits what is staged, and waits until every replica is where it belongs. */
async function commitPlan(node: NodeProcess): Promise<void> {
  const { changes, moved, leastMoves } = await node.ask('commit')
  say(`${changes.join(', ')}: ${moved} replicas of partitions move, of ${leastMoves} at the least`)
  await until('nothing is left to move', async () => {
    const { pending } = await node.ask('status')
    return pending === 0 || `${pending} moves are left`
  })
  showMembers(await node.ask('status'))
}

async function isUp(asked: NodeProcess, name: string): Promise<boolean> {
  const { members } = await asked.ask('status')
  return members.some((member) => member.node === name && member.up)
}
