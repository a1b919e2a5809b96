import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { cli } from '../src/cli.ts'

let directory: string
let out: string
let err: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atoll-tour-test-'))
  out = ''
  err = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += text
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += text
    return true
  })
})

afterEach(async () => {
  vi.restoreAllMocks()
  await rm(directory, { recursive: true })
})

test('takes a file through the loss of two nodes and back', async () => {
  const file = join(directory, 'coral.bin')
  await writeFile(file, randomBytes(5_500_000))
  expect([await cli(file), err]).toEqual([0, ''])
  expect(out).toMatch(/the same bytes that went in/)
  const rows = [...out.matchAll(/^ {2}(n\d) +(\d+) +(\d+)$/gm)].map(([, name, before, after]) => ({
    name,
    before: Number(before),
    after: Number(after),
  }))
  expect(rows.map(({ name }) => name)).toEqual(['n1', 'n2', 'n3', 'n4', 'n5'])
  const total = (which: 'before' | 'after') => rows.reduce((sum, row) => sum + row[which], 0)
  expect(total('after')).toBe(3 * 7) // one manifest and six blocks, three replicas of each
  expect(total('before')).toBeLessThan(total('after'))
})

test('an empty file goes through as well', async () => {
  const file = join(directory, 'empty.bin')
  await writeFile(file, '')
  expect([await cli(file), err]).toEqual([0, ''])
})

test('says in one line what is wrong with a file, and exits with 2', async () => {
  expect(await cli(join(directory, 'missing.bin'))).toBe(2)
  expect(err).toMatch(/^cannot read .*missing\.bin: ENOENT.*\n$/)
  err = ''
  expect(await cli(directory)).toBe(2)
  expect(err).toMatch(/^cannot read .*: it is not a file\n$/)
})
