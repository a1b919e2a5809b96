import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { MemoryLevel as MemoryLevelOf1 } from 'memory-level-1'
import { MemoryLevel as MemoryLevelOf2 } from 'memory-level-2'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AtollNode, createCluster, createNode } from '../src/index.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atoll-databases-'))
})
afterEach(() => rm(directory, { recursive: true }))

async function textOf(node: AtollNode, key: string): Promise<string> {
  const { body } = await node.objects.get('letters', key)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const LONG = 'long '.repeat(400_000)

async function writeLetters(node: AtollNode, text: string): Promise<void> {
  await node.objects.createBucket('letters')
  await node.objects.put('letters', 'short', text)
  await node.objects.put('letters', 'long', LONG)
}

const hosts: readonly [string, () => ClassicLevel | MemoryLevel][] = [
  ['classic-level', () => new ClassicLevel(join(directory, 'host'))],
  ['memory-level', () => new MemoryLevel()],
]

function placeIn(host: ClassicLevel | MemoryLevel, path: string[]) {
  if (host instanceof ClassicLevel) return host.sublevel<Uint8Array, Uint8Array>(path, VIEW)
  return host.sublevel<Uint8Array, Uint8Array>(path, VIEW)
}

describe.each(hosts)('a database of a host on %s', (_, open) => {
  test('holds several nodes in sublevels, beside data of its own, and after it was opened again', async () => {
    const host = open()
    const own = host.sublevel('users')
    await own.put('ada', 'Lovelace')
    for (const name of ['one', 'two']) {
      await using node = await createNode({ name, storage: placeIn(host, ['atoll', name]) })
      await writeLetters(node, `of ${name}`)
    }
    await own.put('alan', 'Turing')
    await host.close()
    await host.open()
    const again = host.sublevel('users')
    for (const name of ['one', 'two']) {
      await using node = await createNode({ name, storage: placeIn(host, ['atoll', name]) })
      expect(await textOf(node, 'short')).toBe(`of ${name}`)
      expect(await textOf(node, 'long')).toBe(LONG)
      expect((await node.objects.list('letters')).objects).toHaveLength(2)
    }
    expect(await again.iterator().all()).toEqual([
      ['ada', 'Lovelace'],
      ['alan', 'Turing'],
    ])
    await host.close()
  })

  test('holds a whole cluster, of which a node dies and comes back', async () => {
    const host = open()
    await host.put('mine', 'kept')
    {
      await using cluster = await createCluster({
        nodes: 3,
        storage: (node) => placeIn(host, [`atoll-${node}`]),
      })
      await writeLetters(cluster.node(1), 'of three')
      await cluster.crash('n2')
      await cluster.node(3).objects.put('letters', 'later', 'while n2 is away')
      await cluster.restart('n2')
      for (const node of [1, 2, 3]) {
        expect(await textOf(cluster.node(node), 'short')).toBe('of three')
        expect(await textOf(cluster.node(node), 'later')).toBe('while n2 is away')
      }
    }
    expect(await host.get('mine')).toBe('kept')
    await host.close()
  })

  test('is refused as a whole if it holds anything else, and nothing is changed', async () => {
    const host = open()
    await host.put('mine', 'kept')
    const storage = host.sublevel('users')
    await storage.put('ada', 'Lovelace')
    await expect(createNode({ storage })).rejects.toMatchObject({ code: 'ATOLL_FORMAT' })
    expect(await host.keys().all()).toEqual(['!users!ada', 'mine'])
    await host.close()
  })
})

describe('the version of abstract-level', () => {
  test('1 is refused, and named', async () => {
    // Its types are others: a program in JavaScript passes it all the same.
    const storage: ClassicLevel = Object(new MemoryLevelOf1())
    await expect(createNode({ storage })).rejects.toMatchObject({
      code: 'ATOLL_STORE_UNSUPPORTED',
      message: 'the database is written for abstract-level 1; 2 or 3 is needed',
      details: { feature: 'abstract-level' },
    })
  })

  test('2 holds a node, without explicit snapshots', async () => {
    const storage: ClassicLevel = Object(new MemoryLevelOf2())
    expect(storage.supports.explicitSnapshots).toBe(false)
    await using node = await createNode({ storage })
    await writeLetters(node, 'of two')
    expect(await textOf(node, 'long')).toBe(LONG)
    expect((await node.objects.list('letters')).objects).toHaveLength(2)
  })
})
