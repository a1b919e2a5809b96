import { utf8 } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { expect } from 'vitest'
import type { ObjectPage } from '../src/index.ts'

export const BUCKET = 'reef'

const fish = (at: number, bytes: number) => Buffer.alloc(bytes, `fish ${at} `)
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at)

/**
 * Every sixth of these was deleted, the one behind it put again, and the next one as well, when n1 had been closed: then
 * every twelfth was deleted, too.
 */
function small(at: number): readonly (readonly [key: string, body: Buffer])[] {
  const key = `small-${at}`
  if (at % 6 === 0 || at % 12 === 3) return []
  if (at % 6 === 1) return [[key, fish(at + 100, 300)]]
  if (at % 6 === 2) return [[key, fish(at + 200, 700)]]
  return [[key, fish(at, 100 + 20 * at)]]
}

/** The objects in the directories of the build before, of those up to 512 bytes with their manifests, others in blocks. */
export const OLD_OBJECTS: ReadonlyMap<string, Buffer> = new Map([
  ...numbers(30).flatMap(small),
  ...numbers(3).map((at) => [`medium-${at}`, fish(at, 5000 + at)] as const),
  ...numbers(1).map((at) => [`large-${at}`, fish(at, 30_000 + at)] as const),
  // While n1 was closed.
  ...numbers(6).map((at) => [`late-${at}`, fish(at + 300, 200 + 150 * at)] as const),
])

const POOLS = numbers(12)

/** Records beside the objects: of every third there are two siblings, each with an index entry. */
export async function expectPools({ kv, name }: AtollNode): Promise<void> {
  for (const at of POOLS) {
    const { values } = await kv.get({ type: 'default', bucket: utf8('pools'), key: utf8(`pool-${at}`) })
    const texts = values.map(({ value }) => `${Buffer.from(value)}`).sort()
    expect(texts, name).toEqual(at % 3 === 0 ? [`other ${at}`, `pool ${at}`] : [`pool ${at}`])
  }
  const { entries } = await kv.scan({ type: 'default', index: 'all', scope: utf8('s') })
  const found = entries.map(
    ({ term, payloads }) => `${Buffer.from(term)}: ${payloads.map((one) => Buffer.from(one)).join()}`,
  )
  const payloads = (at: number) => Array(at % 3 === 0 ? 2 : 1).fill(`payload ${at}`)
  expect(found.sort(), name).toEqual(POOLS.map((at) => `term ${at}: ${payloads(at).join()}`).sort())
}

/** The bytes of an object; undefined if it is said not to be there. */
export async function bytesOf({ objects }: AtollNode, key: string): Promise<Buffer | undefined> {
  const found = await objects.get(BUCKET, key).catch((error: { readonly code?: unknown }) => {
    if (error.code === 'ATOLL_OBJECT_NOT_FOUND') return
    throw error
  })
  if (found === undefined) return
  const chunks: Uint8Array[] = []
  for await (const chunk of found.body) chunks.push(Uint8Array.from(chunk))
  return Buffer.concat(chunks)
}

/** All keys, page by page. */
export async function keysOf({ objects }: AtollNode): Promise<readonly string[]> {
  const keys: string[] = []
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: ObjectPage = await objects.list(BUCKET, { limit: 7, ...(after === '' ? {} : { after }) })
    keys.push(...page.objects.map(({ key }) => key))
    after = page.next
  }
  return keys
}
