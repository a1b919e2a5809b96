import { assert, decodeWith } from '@atoll/core'
import { type ClusterDocument, encodeDocument, firstDocument, isForAllVersions } from '@atoll/membership'
import { VnodeHost } from '@atoll/vnode'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { createNode } from '../src/create-node.ts'
import { Generation } from '../src/generation.ts'
import { GENERATIONS, HISTORY, Lives } from '../src/lives.ts'
import { PartitionOwners } from '../src/partition-owners.ts'
import { systemRuntime } from '../src/system-runtime.ts'

const NAMES = ['n1', 'n2', 'n3']
/** The version of documents that builds before generations read; a document with generations has the third. */
const FOR_ALL = 1
const WITH_GENERATIONS = 3
const WITH_HISTORY = 4

function documentOf(names: readonly string[]): ClusterDocument {
  const members = names.map((node) => ({
    node,
    id: `da7a0000000000${node.replace('n', '0')}`,
    address: `${node}:7400`,
  }))
  return firstDocument({ clusterId: 'reef', partitions: 8, members })
}

/** A document as it goes to the others, and what the first byte says of it. */
function versionOf(document: ClusterDocument): number | undefined {
  return encodeDocument(document)[0]
}

test('a cluster document stays as it was while a member does not say that it can read generations', async () => {
  const runtime = systemRuntime()
  const said = new Map<string, ReadonlySet<string>>()
  const kept = new Map<string, Uint8Array>()
  const storage = {
    get: async (key: string) => kept.get(key),
    put: async (key: string, value: Uint8Array) => void kept.set(key, value),
  }
  const generation = new Generation({ node: 'n1', runtime, storage, isRestored: false })
  await generation.begin()
  const policyOf = () => ({ kind: 'siblings' }) as const
  const vnodes = new VnodeHost(
    runtime,
    { database: new MemoryLevel(), policyOf },
    { node: 'n1', partitions: 8 },
  )
  const endpoint = { capabilitiesOf: (node: string) => said.get(node) }
  const lives = new Lives({
    node: 'n1',
    runtime,
    endpoint,
    generation,
    vnodes,
    owners: new PartitionOwners('n1'),
  })

  const before = documentOf(NAMES)
  expect(versionOf(before)).toBe(FOR_ALL)
  // n2 shows it; n3 has not been met, then it is a build of before, which shows nothing.
  said.set('n2', new Set([GENERATIONS]))
  expect(lives.tell(before)).toBe(before)
  said.set('n3', new Set(['something else']))
  expect(lives.tell(before)).toBe(before)
  expect(versionOf(lives.tell(before))).toBe(FOR_ALL)

  said.set('n3', new Set([GENERATIONS]))
  const after = lives.tell(before)
  expect(isForAllVersions(after)).toBe(false)
  expect(versionOf(after)).toBe(WITH_GENERATIONS)
  expect(after.members.get('n1')?.generation).toBe(generation.token)

  // It does not go back: whoever is a member reads it, whether it has been met since or not.
  said.clear()
  await generation.end()
  await generation.begin()
  expect(lives.tell(after).members.get('n1')?.generation).toBe(generation.token)

  // So with what came before: n3 does not read that yet, and it does not go back either.
  const both = new Set([GENERATIONS, HISTORY])
  said.set('n2', both)
  said.set('n3', new Set([GENERATIONS]))
  expect(versionOf(lives.tell(after))).toBe(WITH_GENERATIONS)
  said.set('n3', both)
  const complete = lives.tell(after)
  expect(versionOf(complete)).toBe(WITH_HISTORY)
  said.clear()
  expect(lives.tell(complete)).toBe(complete)
  await runtime.close()
})

/** The note of the lives of n1, and the document when another life of it has begun. */
function dataOfOneNode() {
  const kept = new Map<string, Uint8Array>()
  const storage = {
    get: async (key: string) => kept.get(key),
    put: async (key: string, value: Uint8Array) => void kept.set(key, value),
  }
  const runtime = systemRuntime()
  const open = async (isRestored = false) => {
    const generation = new Generation({ node: 'n1', runtime, storage, isRestored })
    await generation.begin()
    return generation
  }
  return { kept, open, runtime }
}

test('votes are those of the life that the document names, or of one that the data knows', async () => {
  const { kept, open, runtime } = dataOfOneNode()
  const first = await open()
  const told = first.tell(documentOf(NAMES))
  expect(first.remembers(documentOf(NAMES))).toBe(true)
  expect(first.remembers(told)).toBe(true)
  first.confirm(told)
  await first.end()
  const copy = new Map(kept)

  // What was only stopped votes once all others have been asked whether they know of a later life.
  const second = await open()
  expect(second.remembers(told)).toBe(false)
  second.lookedAround()
  expect(second.remembers(told)).toBe(true)
  const later = second.tell(told)
  second.confirm(later)
  await second.end()

  for (const [key, value] of copy) kept.set(key, value)
  const third = await open()
  third.lookedAround()
  expect(third.remembers(told)).toBe(true)
  expect(third.remembers(later)).toBe(false)
  expect(third.remembers(third.tell(later))).toBe(true)
  await runtime.close()
})

test('that the data is an older copy is said once, and holds for the lives after that', async () => {
  const { open, runtime } = dataOfOneNode()
  const first = await open()
  const told = first.tell(documentOf(NAMES))
  first.confirm(told)
  await first.end()
  const second = await open(true)
  second.lookedAround()
  expect(second.remembers(told)).toBe(false)
  // It loses its power before anybody was told.
  const third = await open()
  third.lookedAround()
  expect(third.remembers(told)).toBe(false)
  expect(third.tell(told).refills).toMatchObject([{ node: 'n1', waiting: ['n2', 'n3'] }])
  await runtime.close()
})

/** Behind each note stands its checksum. */
const SEAL_BYTES = 4

/** Whether the last life of the data is noted to have ended in order. */
async function isClosedInOrder(database: MemoryLevel): Promise<boolean> {
  const note = await database.get<string, Uint8Array>('!cluster!generation', { valueEncoding: 'view' })
  assert(note !== undefined, 'every life is noted')
  return decodeWith(
    {
      name: 'a note',
      version: 1,
      encode: () => [],
      decode: (reader) => {
        reader.string()
        const isClosed = reader.boolean()
        reader.string()
        reader.list((item) => item.string())
        return isClosed
      },
    },
    note.subarray(0, note.length - SEAL_BYTES),
  )
}

test('a life in which a batch has failed does not end in order: others may know what was in it', async () => {
  const database = new MemoryLevel()
  const batch: unknown = Reflect.get(database, '_batch')
  assert(typeof batch === 'function', 'every level writes batches')
  let isFailing = false
  Object.assign(database, {
    _batch: (...request: unknown[]): unknown =>
      isFailing ? Promise.reject(new Error('no')) : Reflect.apply(batch, database, request),
  })
  for (const fails of [false, true, false]) {
    const node = await createNode({ storage: database })
    if (fails) {
      isFailing = true
      const writing = node.objects.createBucket('reef')
      await expect(writing).rejects.toThrow()
      isFailing = false
      while (node.cluster.status().storage.failure !== undefined)
        await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await node.close()
    await database.open()
    expect(await isClosedInOrder(database)).toBe(!fails)
    await database.close()
  }
})
