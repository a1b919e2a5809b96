import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type AtollNode, openNode } from '../src/index.ts'
import { unpacked } from './golden/unpacked.ts'

const work = mkdtempSync(join(tmpdir(), 'atoll-golden-records-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

/**
 * Directories in which large values lie with the heads of their records, as they did before the fourth format of the
 * database; and some in which heads lie by their names, as they did before the fifth: closed, or left by a process that was
 * killed. Every third small object was deleted, every fourth medium one, and the one behind it put again; in the former
 * hints are noted for another node, which is no member.
 */
const KINDS = [
  'bodies-with-heads/closed',
  'bodies-with-heads/killed',
  'heads-by-name/closed',
  'heads-by-name/killed',
]
const body = (at: number, bytes: number) => Buffer.alloc(bytes, `fish ${at} `)
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at)
const OBJECTS = new Map<string, Buffer>([
  ...numbers(24)
    .filter((at) => at % 3 !== 0)
    .map((at) => [`small-${at}`, body(at, 100 + at)] as const),
  ...numbers(8)
    .filter((at) => at % 4 !== 0)
    .map(
      (at) => [`medium-${at}`, at % 4 === 1 ? body(at + 100, 21_000 + at) : body(at, 20_000 + at)] as const,
    ),
  ...numbers(2).map((at) => [`large-${at}`, body(at, 70_000 + at)] as const),
])

async function expectAll({ objects }: AtollNode, more: ReadonlyMap<string, Buffer> = new Map()) {
  const expected = new Map([...OBJECTS, ...more])
  const { objects: listed } = await objects.list('reef')
  expect(listed.map(({ key }) => key)).toEqual([...expected.keys()].sort())
  for (const [key, value] of expected) {
    const { body: stream } = await objects.get('reef', key)
    const chunks: Uint8Array[] = []
    for await (const chunk of stream) chunks.push(Uint8Array.from(chunk))
    expect(Buffer.concat(chunks).equals(value), key).toBe(true)
  }
}

test.each(KINDS)('%s: is read and written while its records are converted, and goes on', async (kind) => {
  const path = unpacked(kind, work)
  const node = await openNode({ path })
  await expectAll(node)
  const more = new Map([
    ['medium-2', body(7, 50_000)],
    ['large-1', body(8, 10)],
    ['new', body(9, 40_000)],
  ])
  for (const [key, value] of more) await node.objects.put('reef', key, value)
  await expectAll(node, more)
  await node.vnodes.converted
  await expectAll(node, more)
  await node.close()
  const again = await openNode({ path })
  await expectAll(again, more)
  await again.close()
})

test.each(KINDS.filter((kind) => kind.endsWith('closed')))(
  '%s: is gone on with from wherever it was cut',
  async (kind) => {
    const path = unpacked(kind, work)
    const node = await openNode({ path })
    const copies: string[] = []
    let settled = false
    void node.vnodes.converted.then(() => {
      settled = true
    })
    const put = (at: number) => node.objects.put('reef', 'new', body(at, 40_000))
    while (!settled && copies.length < 4) {
      // What a power cut would leave: some records as they were, others as they are to be.
      const copy = join(work, `${kind.replace('/', '-')}-cut-${copies.length}`)
      cpSync(path, copy, { recursive: true })
      copies.push(copy)
      await put(copies.length)
    }
    await node.vnodes.converted
    await node.close()
    expect(copies.length).toBeGreaterThan(1)
    for (const [at, copy] of copies.entries()) {
      const cut = await openNode({ path: copy })
      const more = at === 0 ? new Map<string, Buffer>() : new Map([['new', body(at, 40_000)]])
      await expectAll(cut, more)
      await cut.vnodes.converted
      await expectAll(cut, more)
      await cut.close()
    }
  },
)
