import { openCluster, openNode } from '@atoll/store'

/** What the program prints: how large the object is that it has put. */
export type Printed = `${number}\n`

// A program that never closes what it opens: three nodes in memory, or one on the directory of its argument.
const [path] = process.argv.slice(2)
const node =
  path === undefined ? (await openCluster({ nodes: 3 })).node(1) : await openNode({ path, begin: true })
await node.objects.createBucket('bucket')
await node.objects.put('bucket', 'key', new Uint8Array(3_000_000))
const { size } = await node.objects.head('bucket', 'key')
console.log(`${size}`)
