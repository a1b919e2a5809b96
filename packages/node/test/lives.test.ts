import { type ClusterDocument, encodeDocument, firstDocument, isForAllVersions } from '@atoll/membership'
import { VnodeHost } from '@atoll/vnode'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { Generation } from '../src/generation.ts'
import { Heirs } from '../src/heirs.ts'
import { GENERATIONS, Lives } from '../src/lives.ts'
import { systemRuntime } from '../src/system-runtime.ts'

const NAMES = ['n1', 'n2', 'n3']
/** The version of documents that builds before generations read; a document with generations has the third. */
const FOR_ALL = 1
const WITH_GENERATIONS = 3

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
  const lives = new Lives({ node: 'n1', runtime, endpoint, generation, vnodes, heirs: new Heirs('n1') })

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
  await runtime.close()
})
