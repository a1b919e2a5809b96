import { isAtollError } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { inChunks, slowly } from './bodies.ts'
import type { Client, Work } from './client.ts'
import { OWN_TYPE, type Scene } from './scene.ts'

const NO_BUCKET = 'ATOLL_BUCKET_NOT_FOUND'
const NO_OBJECT = 'ATOLL_OBJECT_NOT_FOUND'

/** What is put first, what is put while the bucket is deleted, and what is put into the next one of the name. */
const [FIRST, LATE, NEXT] = ['pearl', 'late', 'coral']

/**
 * A bucket of the client's own: made, used, emptied, deleted, and made anew, each through some node. Nobody else touches
 * it, so that what was acknowledged has to be seen by the next step; a step that fails ends the round. In half of the
 * rounds something is put meanwhile, slowly, of which nothing may show in the next bucket.
 */
const ownBucket: Work = async (scene, client, node) => {
  const { prng } = client
  const bucket = `own-${client.nextName().replace('.', '-')}`
  // A build before knows one type.
  const isOwn = scene.options.changes.upgrade === undefined && prng.chance(500)
  const own = { type: isOwn ? OWN_TYPE : undefined }
  const { bytes } = scene.bodies.make(bucket, prng.between(20, 9000), prng)
  const round: Round = { scene, client, bucket, node, ids: [] }
  const create = async ({ objects }: AtollNode) => {
    round.ids.push((await objects.createBucket(bucket, own)).id)
  }
  const isUsed = await take(round, [
    ['create', create],
    ['list of buckets', listedAs(bucket, true)],
    ['put', (at) => at.objects.put(bucket, FIRST, bytes), NO_BUCKET],
    ['head', (at) => at.objects.head(bucket, FIRST), NO_BUCKET, NO_OBJECT],
    ['delete of a full one', deletedFull(bucket), NO_BUCKET],
  ])
  if (!isUsed) return
  const late = prng.chance(500) ? putLate(round, bytes) : undefined
  const never = late === undefined ? ['ATOLL_BUCKET_NOT_EMPTY'] : []
  const isDeleted = await take(round, [
    ['delete of the object', (at) => at.objects.delete(bucket, FIRST), NO_BUCKET],
    ['delete', (at) => at.objects.deleteBucket(bucket), NO_BUCKET, ...never],
    ['list of buckets', listedAs(bucket, false)],
  ])
  if (isDeleted) await makeAnew(round, { create, bytes, late })
  await late?.over
}

interface Round {
  readonly scene: Scene
  readonly client: Client
  readonly bucket: string
  /** Through which the client has come. */
  readonly node: AtollNode
  /** Of the buckets of that name, one after the other. */
  readonly ids: (string | undefined)[]
}

interface Anew {
  readonly create: (at: AtollNode) => Promise<void>
  readonly bytes: Uint8Array
  readonly late: Late | undefined
}

/** A put that was acknowledged before the bucket was deleted, or that is acknowledged afterwards, was lied to. */
async function makeAnew(round: Round, { create, bytes, late }: Anew): Promise<void> {
  const { bucket } = round
  const listed = (at: AtollNode) => listNothingOld(round, at)
  // A bucket of the build before is filed under its name, and does not wait for who puts.
  const hasId = round.ids[0] !== undefined
  const isMade = await take(round, [
    ['create again', create],
    ['list', listed, NO_BUCKET],
    ['put again', (at) => at.objects.put(bucket, NEXT, bytes), NO_BUCKET],
    ['head again', (at) => at.objects.head(bucket, NEXT), NO_BUCKET, NO_OBJECT],
  ])
  await late?.over
  if (hasId && late?.outcome === 'ok')
    complain(round, 'that something was put into it, and that it was empty and is deleted')
  if (isMade) await take(round, [['list again', listed, NO_BUCKET]])
}

type Step = readonly [what: string, run: (at: AtollNode) => Promise<unknown>, ...never: string[]]

const listedAs =
  (bucket: string, isThere: boolean) =>
  async ({ objects }: AtollNode) => {
    const { buckets } = await objects.listBuckets({ prefix: bucket })
    if (buckets.some(({ name }) => name === bucket) !== isThere)
      throw new Error(`the bucket is ${isThere ? 'missing from' : 'still in'} the list`)
  }

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

/** Where one of the two buckets has an id, they are not filed at one place. */
async function listNothingOld({ bucket, ids }: Round, { objects }: AtollNode): Promise<void> {
  const keys = (await objects.list(bucket)).objects.map(({ key }) => key)
  if (ids.every((id) => id === undefined)) return
  const old = keys.filter((key) => key !== NEXT)
  if (old.length > 0) throw new Error(`${old.join()} of an old bucket shows in a new one`)
}

interface Late {
  outcome: 'open' | 'ok' | 'failed'
  readonly over: Promise<void>
}

/** Longer than it takes to delete a bucket and to make it anew. */
const LATE_MS = 4000

/** Begins to put something that nobody waits for, of which the body takes its time. */
function putLate({ scene, client, bucket, node }: Round, bytes: Uint8Array): Late {
  const { doors, world } = scene
  const { name, prng } = client
  const { clock } = world.runtime(name)
  const pauseMs = prng.between(0, LATE_MS / 2)
  const body = slowly(inChunks(bytes, prng), () => clock.sleep(pauseMs))
  const end = (outcome: Late['outcome']) => {
    late.outcome = outcome
    world.note(`${name} late put into ${bucket} at ${node.name}: ${outcome}`)
    world.runtime(name).probe.mark(`client.bucket late put ${outcome}`)
  }
  const over = doors
    .through(node, () => node.objects.put(bucket, LATE, body))
    .then(
      () => end('ok'),
      () => end('failed'),
    )
  const late: Late = { outcome: 'open', over }
  return late
}

/** Answers whether all steps were acknowledged. */
async function take(round: Round, steps: readonly Step[]): Promise<boolean> {
  const { scene, client, node } = round
  const { cluster, doors, world } = scene
  for (const step of steps) {
    const others = cluster.nodes.filter((each) => doors.isOpen(each) && !world.isFrozen(each.name))
    const at = others.length === 0 ? node : client.prng.pick(others)
    if (!(await doors.through(at, () => takeOne(round, step, at)))) return false
  }
  return true
}

async function takeOne(round: Round, [what, run, ...never]: Step, at: AtollNode): Promise<boolean> {
  const { scene, client, bucket } = round
  const { world } = scene
  try {
    await run(at)
    world.runtime(client.name).probe.mark(`client.bucket ${what}`)
    return true
  } catch (error) {
    const code = isAtollError(error) ? error.code : 'no error of ours'
    const message = error instanceof Error ? error.message : ''
    world.note(`${client.name} ${what} of ${bucket} at ${at.name}: ${code} ${message}`)
    if (!isAtollError(error) || never.includes(code)) complain(round, `at ${what}: ${message}`)
    return false
  }
}

function complain({ scene, client, bucket }: Round, told: string): void {
  scene.bucketWords.push({ rule: 'bucket', key: bucket, message: `${client.name} was told ${told}` })
}

export const bucketWork: readonly (readonly [number, Work])[] = [[2, ownBucket]]
