import { isAtollError } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { FIRST, LATE, NEXT, type OwnFinal } from './check-buckets.ts'
import { orNothing } from './client.ts'
import { readObject, type Scene } from './scene.ts'

/** What clients' own buckets are in the end, as any node says it: when all else was looked at, collected and cleared. */
export async function readOwnBuckets(scene: Scene): Promise<readonly OwnFinal[]> {
  const { world, cluster, ownBuckets } = scene
  const node = world.prng.fork('final reader of own buckets').pick(cluster.nodes)
  const finals: OwnFinal[] = []
  for (const { name } of ownBuckets) finals.push(await readOwnBucket(scene, node, name))
  return finals
}

async function readOwnBucket(scene: Scene, node: AtollNode, bucket: string): Promise<OwnFinal> {
  const { buckets } = await node.objects.listBuckets({ prefix: bucket })
  const info = buckets.find(({ name }) => name === bucket)
  const listed = await listedIn(node, bucket)
  const read: string[] = []
  if (listed !== undefined) {
    for (const key of [FIRST, LATE, NEXT]) if (await isReadable(scene, node, { bucket, key })) read.push(key)
  }
  return { isListed: info !== undefined, id: info?.id, listed, read }
}

async function listedIn(node: AtollNode, bucket: string): Promise<readonly string[] | undefined> {
  const listed: string[] = []
  try {
    for await (const { key } of node.objects.listAll(bucket)) listed.push(key)
  } catch (error) {
    if (isAtollError(error, 'ATOLL_BUCKET_NOT_FOUND')) return undefined
    throw error
  }
  return listed
}

/** Every byte of it is what was put. */
async function isReadable(
  scene: Scene,
  node: AtollNode,
  object: { readonly bucket: string; readonly key: string },
): Promise<boolean> {
  try {
    return (await orNothing(readObject(scene, node, object))) === object.bucket
  } catch (error) {
    if (isAtollError(error)) return false
    throw error
  }
}
