import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { concatBytes, encodeTuple } from '@atoll/core'
import { VALUE_LOG_DEFAULTS } from '@atoll/value-log-level'
import { afterAll, expect, test } from 'vitest'
import { leftOfBefore } from '../../swarm/src/older-rows.ts'
import { storedBytes } from '../../value-log-level/src/checksum.ts'
import { FORMAT_KEY } from '../../vnode/src/layout.ts'
import { expectCounts } from '../../vnode/test/counts.ts'
import { unpacked } from './golden/unpacked.ts'
import { isOneOf, ObjectLoad } from './object-load.ts'
import { CONVERTED, NAMES, type Name, OldCluster, rowsOf } from './old-cluster.ts'
import { bytesOf, expectPools, keysOf } from './old-objects.ts'

const work = mkdtempSync(join(tmpdir(), 'atoll-golden-cluster-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const LONG_MS = 120_000
/** What each client does during a change. */
const STEPS = 12

/**
 * The directories of a cluster of three nodes, n = 3, that the build before the third format has left: n1 was closed,
 * and has missed what came after; then the process of the others was killed.
 */
const opened = () => new OldCluster(unpacked('cluster', work))

/** Every node says the same of every object, and of what it stores, and nothing is left of the build before. */
async function expectAll(cluster: OldCluster, load: ObjectLoad): Promise<void> {
  const expected = load.expected()
  for (const node of cluster.nodes) {
    const found: string[] = []
    for (const [key, may] of expected) {
      const read = await bytesOf(node, key)
      expect(isOneOf(read, may), `${key} at ${node.name}`).toBe(true)
      if (read !== undefined) found.push(key)
    }
    expect(await keysOf(node), node.name).toEqual(found.sort())
    await expectPools(node)
  }
}

/**
 * What every node counts is what a walk finds, and what its log says is in use is what is there; it is in the form of
 * today.
 */
async function expectConverted(cluster: OldCluster): Promise<void> {
  const inUse = new Map<string, number | undefined>()
  for (const { name, vnodes, storage } of cluster.nodes) {
    await vnodes.counted
    await expectCounts(vnodes, name)
    await storage.compact()
    inUse.set(name, (await storage.usage()).liveBytes)
  }
  await cluster.stopAll()
  for (const name of NAMES) {
    const rows = await rowsOf(cluster.pathOf(name))
    expect(leftOfBefore(rows), name).toEqual([])
    const large = rows.filter(({ value }) => value.length >= VALUE_LOG_DEFAULTS.thresholdBytes)
    expect(inUse.get(name), name).toBe(large.reduce((sum, { value }) => sum + storedBytes(value.length), 0))
  }
}

/** Opens a node while the clients go on, until all of it is in the form of today. */
async function upgrade(cluster: OldCluster, load: ObjectLoad, name: Name): Promise<void> {
  load.stage = `${name} is upgraded`
  const opening = cluster.start(name)
  await Promise.all([load.run(STEPS), opening.then(({ vnodes }) => vnodes.converted)])
  await cluster.together()
  await load.run(STEPS)
}

/** What clients were told is right, what is there is what they wrote, and so it is when all is closed and opened again. */
async function expectSound(cluster: OldCluster, load: ObjectLoad): Promise<void> {
  expect(load.wrong).toEqual([])
  expect(load.failed).toEqual([])
  await expectAll(cluster, load)
  await expectConverted(cluster)
  for (const name of NAMES) await cluster.start(name)
  await cluster.together()
  await expectAll(cluster, load)
}

test('a cluster of before is upgraded node by node, while clients read and write', {
  timeout: LONG_MS,
}, async () => {
  await using cluster = opened()
  const alone = await cluster.start('n1')
  // It has missed what came after it was closed: what it has is nobody's answer.
  for (const key of ['small-1', 'small-0', 'late-1', 'large-0'])
    await expect(bytesOf(alone, key)).rejects.toMatchObject({ code: 'ATOLL_QUORUM_IMPOSSIBLE' })
  await cluster.start('n2')
  await cluster.together()
  const load = new ObjectLoad(() => cluster.nodes)
  load.stage = 'n1 and n2 run'
  await Promise.all([load.run(STEPS), ...cluster.nodes.map(({ vnodes }) => vnodes.converted)])
  await upgrade(cluster, load, 'n3')
  await expectSound(cluster, load)
})

test.each([
  ['n1', CONVERTED.entries],
  ['n3', CONVERTED.records],
] as const)(
  '%s is killed in the middle of its conversion, at %s, and goes on with it',
  { timeout: LONG_MS },
  async (name, during) => {
    await using cluster = opened()
    for (const other of NAMES) if (other !== name) await cluster.start(other)
    await cluster.together()
    const load = new ObjectLoad(() => cluster.nodes)
    load.troubled = name
    load.stage = `${name} is killed`
    await Promise.all([load.run(STEPS), cluster.startAndKill(name, during)])
    // As it was left: some of it converted, and some not.
    expect(leftOfBefore(await rowsOf(cluster.pathOf(name)))).not.toEqual([])
    await load.run(STEPS)
    load.troubled = ''
    await upgrade(cluster, load, name)
    await expectSound(cluster, load)
  },
)

test('a directory newer than the program is refused as it is, and nobody minds', {
  timeout: LONG_MS,
}, async () => {
  await using cluster = opened()
  const newer = encodeTuple(6, ['atoll vnodes', 'n3', 16, true, true, true, 'whatever comes'])
  const sum = new Uint8Array(4)
  new DataView(sum.buffer).setUint32(0, crc32(newer, crc32(FORMAT_KEY)))
  const value = concatBytes([newer, sum])
  const path = cluster.pathOf('n3')
  const old = await rowsOf(path)
  const before = await rowsOf(path, (database) => database.put(FORMAT_KEY, value, { sync: true }))
  for (const name of ['n1', 'n2'] as const) await cluster.start(name)
  await cluster.together()
  const load = new ObjectLoad(() => cluster.nodes)
  await expect(cluster.start('n3')).rejects.toMatchObject({
    code: 'ATOLL_FORMAT',
    message: expect.stringContaining('version 6'),
  })
  expect(await rowsOf(path)).toEqual(before)
  await load.run(STEPS)
  // The program that can read it has done nothing with it yet.
  const note = old.find(({ key }) => Buffer.from(FORMAT_KEY).equals(key))?.value ?? new Uint8Array()
  await rowsOf(path, (database) => database.put(FORMAT_KEY, note, { sync: true }))
  await upgrade(cluster, load, 'n3')
  await expectSound(cluster, load)
})
