import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMetrics } from '@atoll/core'
import { systemRuntime } from '@atoll/node'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openCluster, openNode } from '../src/index.ts'

let path: string

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'atoll-store-'))
})

afterEach(() => rm(path, { recursive: true }))

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('a node keeps what it acknowledged when it is closed', async () => {
  const long = 'long '.repeat(500_000)
  {
    await using node = await openNode({ path })
    await node.objects.createBucket('letters')
    await node.objects.put('letters', 'short', 'Dear reader,')
    await node.objects.put('letters', 'long', long)
  }
  await using node = await openNode({ path })
  expect(await textOf((await node.objects.get('letters', 'short')).body)).toBe('Dear reader,')
  expect(await textOf((await node.objects.get('letters', 'long')).body)).toBe(long)
})

test('without a path it is all in memory', async () => {
  await using node = await openNode()
  await node.objects.createBucket('letters')
  await node.objects.put('letters', 'short', 'Dear reader,')
  expect(await textOf((await node.objects.get('letters', 'short')).body)).toBe('Dear reader,')
})

test('a cluster has a directory for each node, and a node comes back with what it had', async () => {
  await using cluster = await openCluster({ path, nodes: 3 })
  expect((await readdir(path)).sort()).toEqual(['n1', 'n2', 'n3'])
  await cluster.node(1).objects.createBucket('letters')
  await cluster.node(1).objects.put('letters', 'short', 'Dear reader,')
  await cluster.crash('n2')
  await cluster.restart('n2')
  expect(await textOf((await cluster.node(2).objects.get('letters', 'short')).body)).toBe('Dear reader,')
})

test('a directory that is in use is refused, and is not harmed', async () => {
  await using node = await openNode({ path })
  const message = `${join(path, 'log')} and the index beside it are open already, in another process or in this one`
  await expect(openNode({ path })).rejects.toMatchObject({ code: 'ATOLL_LOCKED', message })
  await node.objects.createBucket('letters')
})

test('a file in place of the directory, or of one above it, is refused by name', async () => {
  const file = join(path, 'file')
  await writeFile(file, 'letters')
  for (const place of [file, join(file, 'below')]) {
    for (const open of [() => openNode({ path: place }), () => openCluster({ path: place, nodes: 3 })]) {
      const message = expect.stringMatching(/^path must be a directory, and a file is there: ".*file/)
      await expect(open()).rejects.toMatchObject({ code: 'ATOLL_INVALID_ARGUMENT', message })
      await expect(open()).rejects.toThrow(RangeError)
    }
  }
  expect(await readFile(file, 'utf8')).toBe('letters')
})

test.runIf(process.platform === 'linux')('a place where nothing can be made is refused by name', async () => {
  for (const place of ['/proc/atoll', '/proc/atoll/below/that']) {
    for (const open of [() => openNode({ path: place }), () => openCluster({ path: place, nodes: 3 })]) {
      const message = expect.stringMatching(/^the directory "\/proc\/atoll.*" cannot be made: ENOENT/)
      await expect(open()).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: true, message })
    }
  }
})

test('a misspelt option, and one that the path stands for, is refused by the function that was called', async () => {
  const given = { pth: path, storage: () => undefined, onCrash: () => {}, held: [] }
  for (const name of ['pth', 'storage', 'onCrash', 'held'] as const) {
    const options: { readonly path: string } = { path, ...{ [name]: given[name] } }
    await expect(openNode(options)).rejects.toThrow(`openNode has no option "${name}"; it knows path, `)
    await expect(openCluster({ nodes: 3, ...options })).rejects.toThrow(
      `openCluster has no option "${name}"; it knows path, `,
    )
  }
})

test('a clock before 1970 stores nothing, and hinders no reading and no listing', async () => {
  await using real = systemRuntime()
  let wallMs = Date.now()
  const clock = { ...real.clock, wallMs: () => wallMs }
  await using node = await openNode({ path, runtime: { ...real, clock } })
  await node.objects.createBucket('letters')
  await node.objects.put('letters', 'before', 'Dear reader,')
  wallMs = -1000
  const refused = { code: 'ATOLL_CLOCK', message: expect.stringMatching(/wall clock is before 1970/) }
  await expect(node.objects.put('letters', 'small', 'Dear reader,')).rejects.toMatchObject(refused)
  await expect(node.objects.put('letters', 'large', new Uint8Array(3e6))).rejects.toMatchObject(refused)
  await expect(node.objects.createBucket('others')).rejects.toMatchObject(refused)
  await expect(node.objects.delete('letters', 'before')).rejects.toMatchObject(refused)
  const listed = async () => (await node.objects.list('letters')).objects.map(({ key }) => key)
  expect(await listed()).toEqual(['before'])
  expect(await textOf((await node.objects.get('letters', 'before')).body)).toBe('Dear reader,')
  wallMs = Date.now()
  await node.objects.put('letters', 'after', 'Dear reader,')
  expect(await listed()).toEqual(['after', 'before'])
})

test('a directory that has lost the beginning of its index is refused, and its tables stay', async () => {
  {
    await using node = await openNode({ path })
    await node.objects.createBucket('letters')
    for (let n = 0; n < 50; n++) await node.objects.put('letters', `${n}`, 'Dear reader,')
  }
  const current = await readFile(join(path, 'index/CURRENT'))
  await rm(join(path, 'index/CURRENT'))
  const before = (await readdir(path, { recursive: true })).sort()
  for (const _ of [1, 2]) {
    await expect(openNode({ path })).rejects.toMatchObject({
      code: 'ATOLL_FORMAT',
      details: { reason: 'index-missing' },
    })
  }
  expect((await readdir(path, { recursive: true })).sort()).toEqual(before)
  await writeFile(join(path, 'index/CURRENT'), current)
  await using node = await openNode({ path })
  expect((await node.objects.list('letters')).objects).toHaveLength(50)
})

test('a directory of another program is refused, and nothing is written into it', async () => {
  const other = new ClassicLevel(join(path, 'index'))
  await other.put('key', 'value')
  await other.close()
  await expect(openNode({ path })).rejects.toMatchObject({ code: 'ATOLL_FORMAT' })
  await other.open()
  expect(await other.keys().all()).toEqual(['key'])
  await other.close()
})

test('an empty path is refused', async () => {
  await expect(openNode({ path: '' })).rejects.toThrow(/path must be the name of a directory, got ""/)
})

test('what the storage counts goes to the runtime of its node', async () => {
  const alone = createMetrics()
  const node = await openNode({ path: join(path, 'alone'), runtime: systemRuntime({ metrics: alone }) })
  await node.close()
  expect(alone.value('atoll_value_log_checkpoints_total')).toBe(1)

  const second = createMetrics()
  const runtime = (name: string) => systemRuntime(name === 'n2' ? { metrics: second } : {})
  const cluster = await openCluster({ path: join(path, 'cluster'), nodes: 2, runtime })
  expect(second.value('atoll_value_log_checkpoints_total')).toBe(0)
  await cluster.close()
  expect(second.value('atoll_value_log_checkpoints_total')).toBe(1)
})
