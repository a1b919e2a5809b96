import { openCluster } from '@atoll/store'

await using cluster = await openCluster({ nodes: 5 }) // in memory; with `path` on disk
await cluster.node(1).objects.createBucket('photos')

const photo = crypto.getRandomValues(new Uint8Array(65_536))
for (const key of ['reef.jpg', 'lagoon.jpg', 'palm.jpg'])
  await cluster.node(1).objects.put('photos', key, photo)

await cluster.crash('n4')
const { objects } = await cluster.node(2).objects.list('photos')
console.log(`${objects.length} objects are listed, with one of five nodes down`)

await cluster.crash('n5')
for (const { key, size } of objects) {
  const { body } = await cluster.node(3).objects.get('photos', key)
  let bytes = 0
  for await (const chunk of body) bytes += chunk.length
  console.log(`${key}: ${bytes} of ${size} bytes, with two of five nodes down`)
}
// A listing would be refused now: that there is nothing else, a majority of each key's holders has to say.
