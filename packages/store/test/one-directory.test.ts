import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { valueLog } from '../src/directory.ts'
import { openCluster, openNode, systemRuntime } from '../src/index.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'atoll-one-directory-')))
  path = join(folder, 'data')
})

afterEach(() => rm(folder, { recursive: true }))

test('a directory that is in use is refused by whatever name it is called', async () => {
  await using node = await openNode({ path })
  await node.objects.createBucket('letters')
  await symlink(path, join(folder, 'link'))
  await symlink(folder, join(folder, 'above'))
  const names = [
    path,
    `${path}/`,
    relative(process.cwd(), path),
    `./${relative(process.cwd(), path)}`,
    join(folder, 'link'),
    join(folder, 'above', 'data'),
    `${folder}/data/../data`,
  ]
  for (const name of names)
    await expect(openNode({ path: name }), name).rejects.toMatchObject({ code: 'ATOLL_LOCKED' })
  await node.objects.put('letters', 'key', 'Dear reader,')
})

/** What another process is told that opens the index. */
async function inAnotherProcess(): Promise<string> {
  const program = `
    import { ClassicLevel } from 'classic-level'
    const db = new ClassicLevel(process.argv[1], { createIfMissing: false })
    console.log(await db.open().then(() => db.status, (error) => error.cause.code))`
  const args = ['--input-type=module', '-e', program, join(path, 'index')]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname })
  return stdout.trim()
}

test('a database that was closed and opened again, as after a failure, is open once as well', async () => {
  await using runtime = systemRuntime()
  const first = valueLog(path, runtime)
  await first.open()
  await first.close()
  await first.open()
  await expect(valueLog(path, runtime).open()).rejects.toMatchObject({ cause: { code: 'ATOLL_LOCKED' } })
  expect(await inAnotherProcess()).toBe('LEVEL_LOCKED')
  await first.close()
  const second = valueLog(path, runtime)
  await second.open()
  await expect(first.open()).rejects.toMatchObject({ cause: { code: 'ATOLL_LOCKED' } })
  expect(await inAnotherProcess()).toBe('LEVEL_LOCKED')
  await second.close()
})

test('an opening that is refused leaves the lock that other processes see', async () => {
  {
    await using node = await openNode({ path })
    await node.objects.createBucket('letters')
    expect(await inAnotherProcess()).toBe('LEVEL_LOCKED')
    await expect(openNode({ path })).rejects.toMatchObject({ code: 'ATOLL_LOCKED' })
    expect(await inAnotherProcess()).toBe('LEVEL_LOCKED')
    await expect(Promise.all([openNode({ path }), openNode({ path })])).rejects.toThrow()
    expect(await inAnotherProcess()).toBe('LEVEL_LOCKED')
  }
  expect(await inAnotherProcess()).toBe('open')
})

test('of two openings at once one is refused, and leaves the lock of the other', async () => {
  const both = await Promise.allSettled([openNode({ path }), openNode({ path })])
  // Either may be the one that comes first to the lock.
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  for (const one of both) if (one.status === 'fulfilled') await one.value.close()
  await using _again = await openNode({ path })
})

test('an index on another disk is one index, from wherever a link leads to it', async () => {
  {
    await using node = await openNode({ path })
    await node.objects.createBucket('letters')
  }
  const elsewhere = join(folder, 'elsewhere')
  await rename(join(path, 'index'), elsewhere)
  await symlink(elsewhere, join(path, 'index'))
  await mkdir(join(folder, 'twin'))
  for (const [half, to] of Object.entries({ index: elsewhere, log: join(path, 'log') }))
    await symlink(to, join(folder, 'twin', half))
  await using node = await openNode({ path })
  await expect(openNode({ path: join(folder, 'twin') })).rejects.toMatchObject({ code: 'ATOLL_LOCKED' })
  await node.objects.put('letters', 'key', 'Dear reader,')
})

test('a node of a cluster in this process is locked by its own directory as well', async () => {
  await using cluster = await openCluster({ path, nodes: 2 })
  await symlink(join(path, 'n1'), join(folder, 'first'))
  for (const name of [join(path, 'n1'), join(folder, 'first')])
    await expect(openNode({ path: name })).rejects.toMatchObject({ code: 'ATOLL_LOCKED' })
  await cluster.node('n1').objects.createBucket('letters')
})

test('data stays where it was opened when the program changes its working directory', async () => {
  const before = process.cwd()
  await mkdir(join(folder, 'elsewhere'))
  try {
    process.chdir(folder)
    await using node = await openNode({ path: './data' })
    await node.objects.createBucket('letters')
    await node.objects.put('letters', 'long', new Uint8Array(100_000))
    process.chdir(join(folder, 'elsewhere'))
    await node.storage.compact()
    await node.objects.put('letters', 'more', new Uint8Array(100_000))
    const { directories } = await node.storage.usage()
    expect(directories.map((directory) => directory.path)).toEqual([join(path, 'log'), join(path, 'index')])
  } finally {
    process.chdir(before)
  }
  await using node = await openNode({ path })
  expect((await node.objects.list('letters')).objects.map(({ key }) => key)).toEqual(['long', 'more'])
})

test('the directory of a cluster is not opened as a node', async () => {
  await using cluster = await openCluster({ path, nodes: 2 })
  await cluster.close()
  await expect(openNode({ path })).rejects.toMatchObject({
    code: 'ATOLL_FORMAT',
    message: `${path} holds the nodes n1, n2 of a cluster: open all of them by openCluster, or one by its own directory`,
  })
  await using again = await openCluster({ path })
  expect(again.names).toEqual(['n1', 'n2'])
})

test('the directory of a node is not opened as a cluster', async () => {
  {
    await using node = await openNode({ path })
    await node.objects.createBucket('letters')
  }
  for (const nodes of [3, undefined])
    await expect(openCluster({ path, ...(nodes !== undefined && { nodes }) })).rejects.toMatchObject({
      code: 'ATOLL_FORMAT',
      message: `${path} holds a node: open it by openNode. Nodes of a cluster have a directory each in another one`,
    })
  // A half of it is enough to tell.
  await rename(join(path, 'index'), join(folder, 'index'))
  await expect(openCluster({ path, nodes: 3 })).rejects.toMatchObject({ code: 'ATOLL_FORMAT' })
  await rename(join(folder, 'index'), join(path, 'index'))
  await using node = await openNode({ path })
  expect((await node.objects.listBuckets()).buckets.map(({ name }) => name)).toEqual(['letters'])
})

test('files beside the directories of nodes do no harm', async () => {
  await mkdir(path)
  await writeFile(join(path, 'notes'), 'three nodes')
  {
    await using cluster = await openCluster({ path, nodes: 2 })
    expect(cluster.names).toEqual(['n1', 'n2'])
  }
  await using cluster = await openCluster({ path })
  expect(cluster.names).toEqual(['n1', 'n2'])
})
