import type { Replicas } from '@atoll/coordinator'
import { AtollError } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type Cluster, createCluster } from '../src/index.ts'

/** Whom no write reaches, and nobody notes what it misses. */
const AWAY = 'n5'

/** Stands between coordinators and replicas: counts scans, and keeps writes from the node that is away. */
class Between {
  scans = 0
  isAway = false

  of(replicas: Replicas): Replicas {
    const refuse = () => Promise.reject(new AtollError('ATOLL_UNREACHABLE', `${AWAY} cannot be reached`))
    const isAway = (node: string) => this.isAway && node === AWAY
    return {
      get: (...asked) => replicas.get(...asked),
      hint: (...asked) => replicas.hint(...asked),
      put: (target, id, record, options) =>
        isAway(target.node) ? refuse() : replicas.put(target, id, record, { ...options, hintFor: undefined }),
      coordinate: (target, id, write, options) =>
        isAway(target.node)
          ? refuse()
          : replicas.coordinate(target, id, { ...write, hintFor: undefined }, options),
      scan: (...asked) => {
        this.scans += 1
        return replicas.scan(...asked)
      },
    }
  }
}

async function fiveNodes(folders: number) {
  const between = new Between()
  const cluster = await createCluster({
    nodes: 5,
    storage: () => new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' }),
    replicas: (_, replicas) => between.of(replicas),
  })
  const names = Array.from({ length: folders }, (_, n) => `${String(n).padStart(4, '0')}/`)
  const { objects } = cluster.node(1)
  await objects.createBucket('reef')
  const keys = names.flatMap((name) => [`${name}a`, `${name}b`])
  // Not all at once: a busy machine would not be done with them before the puts time out.
  for (let at = 0; at < keys.length; at += 100)
    await Promise.all(keys.slice(at, at + 100).map((key) => objects.put('reef', key, '')))
  const page = async (node: number, limit = 1000) =>
    (await cluster.node(node).objects.list('reef', { delimiter: '/', limit })).prefixes
  return { cluster, between, names, page }
}

const deleteAll = async (cluster: Cluster, keys: readonly string[]) =>
  void (await Promise.all(keys.map((key) => cluster.node(1).objects.delete('reef', key))))

test('a page of 1000 common prefixes on five nodes asks for at most three scans for every hundred', async () => {
  const { cluster, between, names, page } = await fiveNodes(1000)
  try {
    between.scans = 0
    expect(await page(2)).toEqual(names)
    expect(between.scans).toBeLessThanOrEqual(30)
  } finally {
    await cluster.close()
  }
})

test('prefixes of which a node has missed deletions are shown if anything is left in them, and the first listing heals them', async () => {
  const { cluster, between, names, page } = await fiveNodes(60)
  try {
    between.isAway = true
    const first = names.map((name) => `${name}a`)
    const empty = names.filter((_, at) => at % 3 === 0)
    await deleteAll(cluster, [...first, ...empty.map((name) => `${name}b`)])
    // A deletion that one primary and a fallback have is acknowledged: the other primary gets it a moment later.
    await cluster.idle()
    between.isAway = false
    const left = names.filter((name) => !empty.includes(name))
    between.scans = 0
    // It always asks itself, who has missed all of them.
    expect(await page(5)).toEqual(left)
    const dear = between.scans
    expect(dear).toBeGreaterThan(8)
    // The listing does not wait for the repairs that it has set off.
    await cluster.idle()
    between.scans = 0
    expect(await page(5)).toEqual(left)
    expect(between.scans).toBeLessThan(dear)
  } finally {
    await cluster.close()
  }
})
