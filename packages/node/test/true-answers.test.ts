import { isAtollError } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AtollNode, type Cluster, createCluster } from '../src/index.ts'

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5']
const KEYS = Array.from({ length: 24 }, (_, at) => `k${at}`)

/** What a call that asks for something which is there may say: that it is, or that nobody can know now. */
async function isKnown(call: Promise<unknown>): Promise<boolean> {
  try {
    await call
    return true
  } catch (error) {
    if (isAtollError(error) && error.transient) return false
    throw error
  }
}

/** Looks until it is so; the test's own time limit ends it otherwise. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20))
}

interface Answers {
  known: number
  unknown: number
}

/** Asks a node for everything in every way; all of it is there. Throws for an answer that denies it. */
async function ask({ objects }: AtollNode, answers: Answers): Promise<void> {
  const note = async (call: Promise<unknown>) => {
    if (await isKnown(call)) answers.known += 1
    else answers.unknown += 1
  }
  const listing = objects.list('photos')
  const buckets = objects.listBuckets()
  const creating = objects.createBucket('photos').then(
    () => 'made again',
    (error: unknown) => {
      if (!isAtollError(error, 'ATOLL_BUCKET_EXISTS')) throw error
      return 'is there'
    },
  )
  const deleting = objects.deleteBucket('photos').catch((error: unknown) => {
    if (!isAtollError(error, 'ATOLL_BUCKET_NOT_EMPTY')) throw error
    return 'is full'
  })
  await Promise.all([
    ...KEYS.flatMap((key) => [
      note(objects.head('photos', key)),
      note(textOf(objects, key).then((text) => expect(text).toBe(key))),
      note(objects.head('photos', `${key}.large`)),
    ]),
    note(listing.then((page) => expect(page.objects).toHaveLength(2 * KEYS.length))),
    note(buckets.then((page) => expect(page.buckets).toHaveLength(1))),
    note(creating.then((outcome) => expect(outcome).toBe('is there'))),
    note(deleting.then((outcome) => expect(outcome).toBe('is full'))),
  ])
}

async function textOf(objects: AtollNode['objects'], key: string): Promise<string> {
  const { body } = await objects.get('photos', key)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

describe('five nodes, and every object on its three primaries', () => {
  let cluster: Cluster

  beforeEach(async () => {
    const view = { keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' } as const
    cluster = await createCluster({ nodes: 5, storage: () => new MemoryLevel<Uint8Array, Uint8Array>(view) })
    await cluster.node(1).objects.createBucket('photos')
    for (const [at, key] of KEYS.entries()) {
      const { objects } = cluster.node(1 + (at % 5))
      await objects.put('photos', key, key)
      await objects.put('photos', `${key}.large`, Buffer.alloc(20_000, key))
    }
    await cluster.idle()
  })

  afterEach(() => cluster.close())

  test('nothing is denied by the two that are left when three crash', async () => {
    for (const name of NAMES.slice(2)) await cluster.crash(name)
    const answers = { known: 0, unknown: 0 }
    for (const node of cluster.nodes) await ask(node, answers)
    expect(answers.known).toBeGreaterThan(100)
    expect(answers.unknown).toBeGreaterThan(2)
  })

  test('nothing is denied on either side of a partition', async () => {
    cluster.partition(['n1', 'n2'], ['n3', 'n4', 'n5'])
    await until(() => NAMES.slice(2).every((name) => !cluster.node(1).isUp(name)))
    const answers = { known: 0, unknown: 0 }
    for (const node of cluster.nodes) await ask(node, answers)
    const deletions = { gone: 0, unknown: 0 }
    const deleting = KEYS.map(async (key, at) => {
      const deletion = cluster.node(1 + (at % 2)).objects.delete('photos', key)
      if (!(await isKnown(deletion))) deletions.unknown += 1
      else if ((await deletion).deleted) deletions.gone += 1
    })
    await Promise.all(deleting)
    expect(deletions.gone + deletions.unknown).toBe(KEYS.length)
    expect(answers.unknown).toBeGreaterThan(2)
  })

  test('nothing is denied while all connections break, again and again', async () => {
    const answers = { known: 0, unknown: 0 }
    for (let round = 0; round < 2; round++) {
      const asking = cluster.nodes.map((node) => ask(node, answers))
      for (const name of NAMES) cluster.network.cut(name)
      for (const name of NAMES) cluster.network.restore(name)
      await Promise.all(asking)
    }
    // That all of it is known is a matter of time, and asserted where time is virtual: in the swarm's tests.
    expect(answers.known + answers.unknown).toBe(2 * NAMES.length * (3 * KEYS.length + 4))
  })
})
