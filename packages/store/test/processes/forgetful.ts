import { openCluster, openNode } from '@atoll/store'
import { tcp } from '@atoll/transport-tcp'

/** What the program prints: how large the object is that it has put. */
export type Printed = `${number}\n`

/** Three nodes that talk over TCP, as a test may have them. */
async function openOnTcp() {
  const options = {
    cluster: 'reef',
    secret: 'a secret of the reef',
    listen: '127.0.0.1:0',
    holdProcess: false,
  } as const
  const transport = () => tcp(options)
  const first = await openNode({ name: 'n1', begin: true, transport: transport() })
  for (const name of ['n2', 'n3']) await openNode({ name, seeds: [first.address], transport: transport() })
  await first.cluster.commit(await first.cluster.plan())
  return first
}

// A program that never closes what it opens: three nodes in memory, three on TCP, or one on the directory of its argument.
const [place = ''] = process.argv.slice(2)
const open = {
  memory: async () => (await openCluster({ nodes: 3 })).node(1),
  tcp: openOnTcp,
  directory: () => openNode({ path: place, begin: true }),
}
const node = await open[place === 'memory' || place === 'tcp' ? place : 'directory']()
await node.objects.createBucket('bucket')
await node.objects.put('bucket', 'key', new Uint8Array(3_000_000))
const { size } = await node.objects.head('bucket', 'key')
console.log(`${size}`)
