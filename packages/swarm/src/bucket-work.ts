import { isAtollError, isError } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { Outcome } from '@atoll/sim'
import { BLOCKS, heeding, inChunks, slowly } from './bodies.ts'
import { FIRST, LATE, NEXT, type OwnBucket } from './check-buckets.ts'
import type { Client, Work } from './client.ts'
import { OWN_TYPE, type Scene } from './scene.ts'

const NO_BUCKET = 'ATOLL_BUCKET_NOT_FOUND'
const NO_OBJECT = 'ATOLL_OBJECT_NOT_FOUND'

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
  const done: OwnBucket = { name: bucket, ids: [], steps: new Map(), late: undefined }
  scene.ownBuckets.push(done)
  const round: Round = { scene, client, bucket, node, done }
  const create = async ({ objects }: AtollNode) => {
    done.ids.push((await objects.createBucket(bucket, own)).id)
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
  await late
}

interface Round {
  readonly scene: Scene
  readonly client: Client
  readonly bucket: string
  /** Through which the client has come. */
  readonly node: AtollNode
  readonly done: OwnBucket
}

interface Anew {
  readonly create: (at: AtollNode) => Promise<void>
  readonly bytes: Uint8Array
  readonly late: Promise<void> | undefined
}

/** A put that was acknowledged before the bucket was deleted, or that is acknowledged afterwards, was lied to. */
async function makeAnew(round: Round, { create, bytes, late }: Anew): Promise<void> {
  const { bucket } = round
  const listed = (at: AtollNode) => listNothingOld(round, at)
  // A bucket of the build before is filed under its name, and does not wait for who puts.
  const { ids, late: lateOne } = round.done
  const hasId = ids[0] !== undefined
  const isMade = await take(round, [
    ['create again', create],
    ['list', listed, NO_BUCKET],
    ['put again', (at) => at.objects.put(bucket, NEXT, bytes), NO_BUCKET],
    ['head again', (at) => at.objects.head(bucket, NEXT), NO_BUCKET, NO_OBJECT],
  ])
  await late
  if (hasId && lateOne?.outcome === 'ok' && lateOne.isPlaced)
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
async function listNothingOld({ bucket, done: { ids, late } }: Round, { objects }: AtollNode): Promise<void> {
  const keys = (await objects.list(bucket)).objects.map(({ key }) => key)
  if (ids.every((id) => id === undefined)) return
  const old = keys.filter((key) => key !== NEXT && !(key === LATE && late?.isPlaced === false))
  if (old.length > 0) throw new Error(`${old.join()} of an old bucket shows in a new one`)
}

/** Longer than it takes to delete a bucket and to make it anew. */
const LATE_MS = 4000

/**
 * Begins to put something that nobody waits for, of which the body takes its time. Whoever puts while a bucket is being
 * deleted waits, and may go on in the next one of its name. But no more than is kept in a record is asked of a body
 * before it is known where it goes.
 */
async function putLate({ scene, client, bucket, node, done }: Round, bytes: Uint8Array): Promise<void> {
  const { doors, world } = scene
  const { name, prng } = client
  const { clock } = world.runtime(name)
  const pauseMs = prng.between(0, LATE_MS / 2)
  const late: OwnBucket['late'] = { outcome: 'unknown', isPlaced: false }
  done.late = late
  const onAsked = (givenBytes: number) => {
    late.isPlaced ||= givenBytes > BLOCKS.inlineBytes && !done.steps.has('create again')
  }
  const body = heeding(
    slowly(inChunks(bytes, prng), () => clock.sleep(pauseMs)),
    onAsked,
  )
  try {
    await doors.through(node, () => node.objects.put(bucket, LATE, body))
    late.outcome = 'ok'
  } catch (error) {
    late.outcome = outcomeOf(error)
  }
  const told = late.outcome === 'ok' ? 'ok' : 'failed'
  world.note(`${name} late put into ${bucket} at ${node.name}: ${told}`)
  world.runtime(name).probe.mark(`client.bucket late put ${told}`)
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
  const { scene, client, bucket, done } = round
  const { world } = scene
  done.steps.set(what, 'unknown')
  try {
    await run(at)
    done.steps.set(what, 'ok')
    world.runtime(client.name).probe.mark(`client.bucket ${what}`)
    return true
  } catch (error) {
    done.steps.set(what, outcomeOf(error))
    const code = isAtollError(error) ? error.code : 'no error of ours'
    const message = isError(error) ? error.message : ''
    world.note(`${client.name} ${what} of ${bucket} at ${at.name}: ${code} ${message}`)
    if (!isAtollError(error) || never.includes(code)) complain(round, `at ${what}: ${message}`)
    return false
  }
}

function outcomeOf(error: unknown): Outcome {
  return isAtollError(error) && error.definite ? 'fail' : 'unknown'
}

function complain({ scene, client, bucket }: Round, told: string): void {
  scene.bucketWords.push({ rule: 'bucket', key: bucket, message: `${client.name} was told ${told}` })
}

export const bucketWork: readonly (readonly [number, Work])[] = [[2, ownBucket]]
