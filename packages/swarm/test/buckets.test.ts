import { type AtollErrorCode, isAtollError, type Runtime } from '@atoll/core'
import { type AtollNode, type Cluster, createCluster } from '@atoll/node'
import { createWorld, type World } from '@atoll/sim'
import { expect, test } from 'vitest'
import { hastyDeletions, oneIdForAName } from '../src/bucket-mutants.ts'

const SAFE = ['n1', 'n2', 'n3']
const CUT_OFF = 'n4'
const BUCKET = 'reef'
const ROUNDS = 5

interface Span {
  readonly startMs: number
  readonly endMs: number
}

interface Put extends Span {
  readonly key: string
  readonly isStored: boolean
}

interface Seen extends Span {
  readonly keys: readonly string[]
}

/** What everybody did with the one bucket. */
interface Log {
  readonly puts: Map<string, Put>
  readonly deleted: Set<string>
  readonly seen: Seen[]
  /** When each bucket of the name was made. */
  readonly made: Span[]
  /** Until when puts are begun. */
  quietFromMs: number
}

interface Sea {
  readonly world: World
  readonly cluster: Cluster
  readonly log: Log
}

async function spanOf<T>({ world }: Sea, work: () => Promise<T>): Promise<Span & { readonly result?: T }> {
  const startMs = world.nowMs
  try {
    const result = await work()
    return { startMs, endMs: world.nowMs, result }
  } catch (error) {
    if (!isAtollError(error)) throw error
    world.note(`${error.code} ${error.message}`)
    return { startMs, endMs: world.nowMs }
  }
}

const anyNode = ({ world, cluster }: Sea, who: string, names = [...SAFE, CUT_OFF]): (() => AtollNode) => {
  const prng = world.prng.fork(who)
  return () => cluster.node(prng.pick(names))
}

/** Puts one object after the other, each of a name of its own, through whichever node. */
async function write(sea: Sea, name: string, isOver: () => boolean): Promise<void> {
  const { world, log } = sea
  const { clock } = world.runtime(name)
  const [node, prng] = [anyNode(sea, name), world.prng.fork(`pauses of ${name}`)]
  for (let at = 0; !isOver(); at++) {
    await clock.sleep(prng.between(0, 300))
    if (world.nowMs >= log.quietFromMs) continue
    const key = `${name}.${at}`
    const bytes = prng.chance(700) ? 20 : 6000
    const { result, ...span } = await spanOf(sea, () =>
      node().objects.put(BUCKET, key, key.padEnd(bytes, '.')),
    )
    log.puts.set(key, { key, isStored: result !== undefined, ...span })
  }
}

async function read(sea: Sea, name: string, isOver: () => boolean): Promise<void> {
  const { world, log } = sea
  const { clock } = world.runtime(name)
  const [node, prng] = [anyNode(sea, name, SAFE), world.prng.fork(`pauses of ${name}`)]
  while (!isOver()) {
    const keys = [...log.puts.keys()]
    const { result = [], ...span } = await spanOf(sea, async () => {
      if (keys.length === 0 || prng.chance(500))
        return (await node().objects.list(BUCKET)).objects.map(({ key }) => key)
      const { key } = await node().objects.head(BUCKET, prng.pick(keys))
      return [key]
    })
    log.seen.push({ keys: result, ...span })
    await clock.sleep(prng.between(0, 300))
  }
}

/** Owns the bucket: makes it, lets it be, empties it, deletes it, and so on. */
async function own(sea: Sea): Promise<void> {
  const { world, log } = sea
  const { clock } = world.runtime('owner')
  const [node, prng] = [anyNode(sea, 'owner', SAFE), world.prng.fork('pauses of the owner')]
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = world.nowMs
    await untilDone(sea, async () => {
      await node().objects.createBucket(BUCKET).catch(unless('ATOLL_BUCKET_EXISTS'))
      return true
    })
    log.made.push({ startMs, endMs: world.nowMs })
    log.quietFromMs = world.nowMs + prng.between(1000, 4000)
    await clock.sleep(prng.between(500, 3000))
    if (round < ROUNDS - 1) await untilDone(sea, () => emptyAndDelete(sea, node()))
    await clock.sleep(prng.between(0, 100))
  }
}

async function emptyAndDelete({ log }: Sea, { objects }: AtollNode): Promise<boolean> {
  try {
    for await (const { key } of objects.listAll(BUCKET)) {
      log.deleted.add(key)
      await objects.delete(BUCKET, key)
    }
    await objects.deleteBucket(BUCKET)
  } catch (error) {
    // It may be that what failed before has happened.
    unless('ATOLL_BUCKET_NOT_FOUND')(error)
  }
  return true
}

async function untilDone(sea: Sea, work: () => Promise<boolean>): Promise<void> {
  const { clock } = sea.world.runtime('owner')
  while ((await spanOf(sea, work)).result !== true) await clock.sleep(100)
}

const unless = (code: AtollErrorCode) => (error: unknown) => {
  if (!isAtollError(error, code)) throw error
}

/** Time and again one node is cut off from all others, so that what it was told spreads late. */
async function cutOff({ world, cluster: { network } }: Sea, isOver: () => boolean): Promise<void> {
  const prng = world.prng.fork('cuts')
  const { clock } = world.runtime('cuts')
  while (!isOver()) {
    await clock.sleep(prng.between(200, 2500))
    network.partition([CUT_OFF], SAFE)
    await clock.sleep(prng.between(500, 5000))
    network.heal()
    network.configure(weatherOf(world))
  }
}

function weatherOf(world: World) {
  return { delayMs: { min: 0, max: world.prng.fork('weather').between(5, 250) } }
}

/** What no client may see. */
async function complaints({ cluster, log }: Sea): Promise<string[]> {
  const found: string[] = []
  const left = new Set<string>()
  try {
    for await (const { key } of cluster.node(1).objects.listAll(BUCKET)) left.add(key)
  } catch (error) {
    unless('ATOLL_BUCKET_NOT_FOUND')(error)
    // Its owner ends with a bucket that he has made, and does not delete.
    found.push('the last bucket is gone')
  }
  for (const { key, isStored } of log.puts.values())
    if (isStored && !log.deleted.has(key) && !left.has(key)) found.push(`${key} was acknowledged and is lost`)
  for (const { keys, startMs } of [...log.seen, { keys: [...left], startMs: Number.POSITIVE_INFINITY }]) {
    const newest = log.made.filter(({ endMs }) => endMs <= startMs).at(-1)
    for (const key of keys)
      if ((log.puts.get(key)?.endMs ?? Number.POSITIVE_INFINITY) < (newest?.startMs ?? 0))
        found.push(`${key} is of an old bucket, and was seen in a new one`)
  }
  return found
}

async function run(
  seed: number,
  alter: (runtime: Runtime) => Runtime,
): Promise<{ found: string[]; world: World }> {
  const world = createWorld({ seed })
  return await world.run(async () => {
    await using cluster = await createCluster({
      nodes: SAFE.length + 1,
      partitions: 8,
      runtime: (name: string) => alter(world.runtime(name)),
      storage: (name: string) => world.disk(name).open(),
      onCrash: (name: string) => world.disk(name).crash(),
      objects: { blockBytes: 4096, inlineBytes: 100 },
    })
    const sea: Sea = {
      world,
      cluster,
      log: { puts: new Map(), deleted: new Set(), seen: [], made: [], quietFromMs: 0 },
    }
    cluster.network.configure(weatherOf(world))
    let isOver = false
    const others = ['w1', 'w2', 'w3'].map((name) => write(sea, name, () => isOver))
    const readers = ['r1', 'r2'].map((name) => read(sea, name, () => isOver))
    const cutting = cutOff(sea, () => isOver)
    await own(sea)
    isOver = true
    await Promise.all([...others, ...readers, cutting])
    await world.runtime('end').clock.sleep(20_000)
    await cluster.idle()
    return { found: await complaints(sea), world }
  })
}

test('of a bucket that is deleted and made anew nothing is lost, and nothing old is in it', {
  timeout: 300_000,
}, async () => {
  const found: string[] = []
  let confirmed = 0
  let openedAgain = 0
  // Ten, and as many more as it takes to see what is rare.
  for (let seed = 1; seed <= 10 || (openedAgain === 0 && seed <= 60); seed++) {
    const outcome = await run(seed, (runtime) => runtime)
    found.push(...outcome.found.map((what) => `seed ${seed}: ${what}`))
    confirmed += outcome.world.marks.get('objects.bucket.confirmed') ?? 0
    openedAgain += outcome.world.marks.get('objects.bucket.opened-again') ?? 0
  }
  expect(found).toEqual([])
  expect(confirmed, 'puts that took longer than what they went by').toBeGreaterThan(10)
  expect(openedAgain, 'buckets that were not empty after all').toBeGreaterThan(0)
})

test.each([
  ['an id for each name alone', oneIdForAName],
  ['deletions that do not wait', hastyDeletions],
])('%s would be seen', { timeout: 300_000 }, async (_, alter) => {
  for (let seed = 1; seed <= 20; seed++) {
    const { found } = await run(seed, alter)
    if (found.length > 0) return
  }
  expect.fail('nobody noticed')
})
