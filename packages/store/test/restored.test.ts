import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMetrics } from '@atoll/core'
import { systemRuntime } from '@atoll/node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { NAMES, ThreeDirectories, until } from './three-directories.ts'

const KEYS = Array.from({ length: 200 }, (_, at) => `key ${at}`)
const NONE = { n1: 0, n2: 0, n3: 0 }

let path: string

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'atoll-restored-'))
})

afterEach(() => rm(path, { recursive: true }))

/** Whether some node knows of one that has to catch up. */
function isBehind(three: ThreeDirectories): boolean {
  const members = NAMES.flatMap((name) => three.node(name).cluster.status().members)
  return members.some(({ catchingUpFrom }) => catchingUpFrom !== undefined)
}

function caughtUp(three: ThreeDirectories): Promise<void> {
  return until(() => !isBehind(three))
}

/** What the keeper of a log is told. */
function listener() {
  const lines: string[] = []
  const keep = (level: string) => (_: object, text?: string) => void lines.push(`${level}: ${text}`)
  const log = { debug: () => {}, info: keep('info'), warn: keep('warn'), error: keep('error') }
  const metrics = createMetrics()
  return { lines, metrics, runtime: systemRuntime({ log, metrics }) }
}

test('a node whose directory was put back from an older copy is told from one that was stopped, and catches up', async () => {
  await using three = new ThreeDirectories(path)
  await three.begin()
  await three.stop('n1')
  await three.backUp('n1')
  await three.start('n1')
  await three.write('n1', 'before', KEYS)
  await three.stop('n1')
  await three.putBack('n1')
  const { lines, metrics, runtime } = listener()
  await three.start('n1', { runtime })
  await three.write('n1', 'after', KEYS)
  expect(await three.wrong('after', KEYS)).toEqual(NONE)
  await caughtUp(three)
  expect(await three.wrong('after', KEYS)).toEqual(NONE)
  expect(lines.filter((line) => /older copy|caught up/.test(line))).toEqual([
    'warn: the data of n1 is an older copy: it catches up from n2, n3',
    'info: n1 was restored, and has caught up with the others',
  ])
  expect(metrics.value('atoll_node_restored_total')).toBe(1)
  expect(metrics.value('atoll_node_catching_up_from')).toBe(0)
  await three.stop('n1')
  await runtime.close()
})

test('what only the copy lacks is not denied while it catches up, and the copy has it thereafter', async () => {
  await using three = new ThreeDirectories(path)
  await three.begin()
  await three.stop('n1')
  await three.backUp('n1')
  await three.start('n1')
  await three.write('n1', 'kept', KEYS)
  await three.stop('n1')
  await three.putBack('n1')
  await three.start('n1')
  expect(await three.wrong('kept', KEYS)).toEqual(NONE)
  await caughtUp(three)
  await three.stop('n2')
  expect(await three.node('n1').kv.idle()).toBe(undefined)
  const held = await Promise.all(
    (await three.node('n1').vnodes.partitions()).map((partition) => three.node('n1').vnodes.count(partition)),
  )
  expect(held.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(KEYS.length)
  await three.start('n2')
})

test('a cluster that was backed up one node at a time, and put back as a whole, answers what was written last', async () => {
  await using three = new ThreeDirectories(path)
  await three.begin()
  await three.write('n1', 'first', KEYS)
  for (const name of NAMES) {
    await three.stop(name)
    await three.backUp(name)
    await three.start(name)
    await three.write(name, `behind ${name}`, KEYS)
  }
  for (const name of NAMES) await three.stop(name)
  for (const name of NAMES) await three.putBack(name)
  for (const name of NAMES) await three.start(name)
  await until(() => isBehind(three))
  await caughtUp(three)
  for (const name of NAMES) {
    await three.write(name, `anew ${name}`, KEYS)
    expect(await three.wrong(`anew ${name}`, KEYS)).toEqual(NONE)
  }
})

test('a node that was only stopped goes on as who it was, and nobody is told of a copy', async () => {
  await using three = new ThreeDirectories(path)
  await three.begin()
  await three.write('n1', 'before', KEYS)
  await three.stop('n1')
  const { lines, runtime } = listener()
  await three.start('n1', { runtime })
  await three.write('n1', 'after', KEYS)
  expect(await three.wrong('after', KEYS)).toEqual(NONE)
  expect(lines.filter((line) => /older copy|caught up/.test(line))).toEqual([])
  await three.stop('n1')
  await runtime.close()
})

test('an operator may say that the data is an older copy', async () => {
  await using three = new ThreeDirectories(path)
  await three.begin()
  await three.write('n1', 'before', KEYS)
  await three.stop('n1')
  const { lines, runtime } = listener()
  await three.start('n1', { runtime, restored: true })
  expect(await three.wrong('before', KEYS)).toEqual(NONE)
  await caughtUp(three)
  expect(lines.filter((line) => /older copy/.test(line))).toHaveLength(1)
  await three.stop('n1')
  await runtime.close()
})
