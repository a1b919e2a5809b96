import { isAtollError } from '@atoll/core'
import { type AtollNode, createCluster } from '@atoll/node'
import { createWorld } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import { expect, test } from 'vitest'

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5']
const KEYS = Array.from({ length: 8 }, (_, at) => `k${at}`)
const LARGE = 20_000

interface Answers {
  known: number
  /** What nobody could tell then. */
  readonly unknown: unknown[]
}

/** Asks a node for everything; all of it is there. Throws for an answer that denies it. */
async function ask({ objects }: AtollNode, answers: Answers): Promise<void> {
  const note = async (call: Promise<unknown>) => {
    try {
      await call
      answers.known += 1
    } catch (error) {
      if (!isAtollError(error) || !error.transient) throw error
      answers.unknown.push(error.toJSON())
    }
  }
  const listing = objects.list('photos').then((page) => expect(page.objects).toHaveLength(2 * KEYS.length))
  const buckets = objects.listBuckets().then((page) => expect(page.buckets).toHaveLength(1))
  await Promise.all([
    note(listing),
    note(buckets),
    ...KEYS.flatMap((key) => [
      note(textOf(objects, key).then((text) => expect(text).toBe(key))),
      note(textOf(objects, `${key}.large`).then((text) => expect(text).toHaveLength(LARGE))),
    ]),
  ])
}

async function textOf(objects: AtollNode['objects'], key: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await objects.get('photos', key)).body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** All connections break twice while every node is asked for everything, `afterMs` after it was. */
async function run(seed: number, afterMs: number): Promise<Answers> {
  const world = createWorld({ seed })
  const answers: Answers = { known: 0, unknown: [] }
  await world.run(async () => {
    const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: 0, max: 5 } })
    await using cluster = await createCluster({
      nodes: NAMES.length,
      partitions: 16,
      network,
      runtime: (name) => world.runtime(name),
      storage: (name) => world.disk(name).open(),
      onCrash: (name) => world.disk(name).crash(),
    })
    const { objects } = cluster.node(1)
    await objects.createBucket('photos')
    for (const key of KEYS) {
      await objects.put('photos', key, key)
      await objects.put('photos', `${key}.large`, Buffer.alloc(LARGE, key))
    }
    await cluster.idle()
    for (let round = 0; round < 2; round++) {
      const asking = cluster.nodes.map((node) => ask(node, answers))
      await world.runtime('test').clock.sleep(afterMs)
      for (const name of NAMES) network.cut(name)
      for (const name of NAMES) network.restore(name)
      await Promise.all(asking)
    }
  })
  return answers
}

test('while all connections break, again and again, everything is answered all the same', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const { known, unknown } = await run(seed, 2 * (seed - 1))
    expect(unknown).toEqual([])
    expect(known).toBe(2 * NAMES.length * (2 + 2 * KEYS.length))
  }
})
