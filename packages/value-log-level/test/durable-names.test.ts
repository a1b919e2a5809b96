import fs, { existsSync, fstatSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, afterEach, expect, test } from 'vitest'
import { makeDirectories, nodeFiles, nodeRuntime, ValueLogLevel } from '../src/index.ts'

const work = mkdtempSync(join(tmpdir(), 'atoll-durable-names-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const { fsyncSync } = fs
afterEach(() => {
  fs.fsyncSync = fsyncSync
  syncBuiltinESMExports()
})

/** Which of these directories were there whenever the one above them was synced: no power cut takes their names. */
function watchNames(paths: readonly string[]): ReadonlySet<string> {
  const durable = new Set<string>()
  fs.fsyncSync = (fd) => {
    fsyncSync(fd)
    const synced = fstatSync(fd).ino
    for (const path of paths) {
      const above = statSync(dirname(path), { throwIfNoEntry: false })
      if (above?.ino === synced && existsSync(path)) durable.add(path)
    }
  }
  syncBuiltinESMExports()
  return durable
}

const named = process.platform === 'win32' ? test.skip : test

named('directories are made so that a power cut leaves them, each with those above it', () => {
  const paths = [join(work, 'a'), join(work, 'a/b'), join(work, 'a/b/c')]
  const durable = watchNames(paths)
  makeDirectories(join(work, 'a/b/c'))
  expect([...durable]).toEqual(paths)
})

named('a log and its index are in their places for good before the first write is acknowledged', async () => {
  const [index, log] = [join(work, 'node/keys/index'), join(work, 'node/values/log')]
  const durable = watchNames([index, log])
  makeDirectories(join(work, 'node'))
  const inner = new ClassicLevel(index)
  const parts = { inner, files: nodeFiles(log), innerFiles: nodeFiles(index) }
  const db = new ValueLogLevel(nodeRuntime(), parts)
  await db.open()
  expect([...durable].sort()).toEqual([index, log])
  await db.close()
})
