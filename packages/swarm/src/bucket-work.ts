import { isAtollError } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { Client, Work } from './client.ts'
import { OWN_TYPE, type Scene } from './scene.ts'

/**
 * A bucket of the client's own: made, used, emptied, deleted. Nobody else touches it, so that what was acknowledged has
 * to be seen by the next step; a step that fails ends the round.
 */
const ownBucket: Work = async (scene, client, node) => {
  const bucket = `own-${client.nextName().replace('.', '-')}`
  const key = 'pearl'
  // A build before knows one type.
  const isOwn = scene.options.changes.upgrade === undefined && client.prng.chance(500)
  const type = isOwn ? OWN_TYPE : undefined
  const { bytes } = scene.bodies.make(bucket, client.prng.between(20, 9000), client.prng)
  const steps: readonly Step[] = [
    ['create', (at) => at.objects.createBucket(bucket, { type })],
    ['put', (at) => at.objects.put(bucket, key, bytes), 'ATOLL_BUCKET_NOT_FOUND'],
    ['head', (at) => at.objects.head(bucket, key), 'ATOLL_BUCKET_NOT_FOUND', 'ATOLL_OBJECT_NOT_FOUND'],
    ['delete of a full one', deletedFull(bucket), 'ATOLL_BUCKET_NOT_FOUND'],
    ['delete of the object', (at) => at.objects.delete(bucket, key), 'ATOLL_BUCKET_NOT_FOUND'],
    ['delete', (at) => at.objects.deleteBucket(bucket), 'ATOLL_BUCKET_NOT_FOUND', 'ATOLL_BUCKET_NOT_EMPTY'],
  ]
  for (const step of steps) if (!(await take(scene, client, { bucket, node, step }))) return
}

type Step = readonly [what: string, run: (at: AtollNode) => Promise<unknown>, ...never: string[]]

/** It is refused, since there is something in it. */
const deletedFull = (bucket: string) => async (at: AtollNode) => {
  const refused = await at.objects.deleteBucket(bucket).then(
    () => false,
    (error: unknown) => {
      if (!isAtollError(error, 'ATOLL_BUCKET_NOT_EMPTY')) throw error
      return true
    },
  )
  if (!refused) throw new Error('a bucket was deleted with an object in it')
}

interface Turn {
  readonly bucket: string
  readonly node: AtollNode
  readonly step: Step
}

/** Answers whether the step was acknowledged. */
async function take({ world, bucketWords }: Scene, { name }: Client, turn: Turn): Promise<boolean> {
  const { bucket, node, step } = turn
  const [what, run, ...never] = step
  try {
    await run(node)
    world.runtime(name).probe.mark(`client.bucket ${what}`)
    return true
  } catch (error) {
    const code = isAtollError(error) ? error.code : 'no error of ours'
    const message = error instanceof Error ? error.message : ''
    world.note(`${name} ${what} of ${bucket}: ${code} ${message}`)
    if (!isAtollError(error) || never.includes(code))
      bucketWords.push({ rule: 'bucket', key: bucket, message: `${name} was told at ${what}: ${message}` })
    return false
  }
}

export const bucketWork: readonly (readonly [number, Work])[] = [[2, ownBucket]]
