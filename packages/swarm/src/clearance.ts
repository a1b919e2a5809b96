import { equalBytes, HOUR_MS, type KeyId } from '@atoll/core'
import { BLOCKS_TYPE } from '@atoll/objects'
import type { Violation } from '@atoll/sim'
import { BUCKET, nameOf } from './names.ts'
import { objectKeys, type Scene } from './scene.ts'

/** Longer than the lease of any upload. */
const LATER_MS = 8 * 24 * HOUR_MS

const MOST_ROUNDS = 3

/**
 * Back to zero: when every object is deleted and what is out of use was collected, no block is left anywhere, neither of
 * what was overwritten nor of uploads that failed half-way.
 */
export async function clearAway(scene: Scene, ids: readonly KeyId[]): Promise<readonly Violation[]> {
  const { world, cluster, options, place } = scene
  const node = world.prng.fork('clearing node').pick(cluster.nodes)
  for (const key of objectKeys(options)) await node.objects.delete(BUCKET, key)
  const now = Math.floor(node.runtime.clock.wallMs()) + LATER_MS
  let failed = 1
  // What a primary does not confirm is left to the next collection, by which it has been healed.
  for (let round = 0; round < MOST_ROUNDS && failed > 0; round++) {
    failed = (await node.objects.collect({ now, leewayMs: 0 })).failed
    await cluster.idle()
  }
  // In buckets of their own clients may have left something on purpose.
  const blocks = ids.filter(({ type, bucket }) => type === BLOCKS_TYPE && equalBytes(bucket, place))
  const left: Violation[] = []
  for (const id of blocks) {
    const { values } = await node.kv.get(id, { repair: true })
    if (values.length > 0)
      left.push({ rule: 'left-behind', key: nameOf(id), message: 'nobody has a use for the block' })
  }
  if (failed > 0)
    left.push({ rule: 'left-behind', key: '', message: `${failed} objects could not be cleared` })
  return left
}
