import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Runtime } from '@atoll/core'
import { systemRuntime } from '@atoll/node'
import { VALUE_LOG_DEFAULTS } from '@atoll/value-log-level'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openCluster, openNode } from '../src/index.ts'

let path: string

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'atoll-space-'))
})

afterEach(() => rm(path, { recursive: true }))

/** Where the value log looks around 50 times as often. */
function hasty(): Runtime {
  const runtime = systemRuntime()
  const { clock } = runtime
  const { idleMs } = VALUE_LOG_DEFAULTS
  const timer: Runtime['clock']['timer'] = (delayMs, fire, options) =>
    clock.timer(delayMs === idleMs ? delayMs / 50 : delayMs, fire, options)
  return { ...runtime, clock: { ...clock, timer } }
}

/** Bytes that the files below a directory take. */
async function bytesBelow(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true })
  const sizes = names.map(async (name) => {
    const { blocks } = await stat(join(directory, name)).catch(() => ({ blocks: 0 }))
    return 512 * blocks
  })
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0)
}

const OBJECTS = 72
const body = Buffer.alloc(1024 * 1024, 'some bytes of a body; ')

describe.each([1, 3])('on %d nodes', (nodes) => {
  test('what was deleted and collected is given back without a call', async () => {
    const opened =
      nodes === 1
        ? await openNode({ path, runtime: hasty() })
        : await openCluster({ path, nodes, runtime: hasty })
    const { objects } = 'objects' in opened ? opened : opened.node(1)
    await objects.createBucket('large')
    for (let n = 0; n < OBJECTS; n++) await objects.put('large', `object ${n}`, body)
    const before = await bytesBelow(path)
    // Two replicas of three have acknowledged.
    expect(before).toBeGreaterThan(Math.min(nodes, 2) * OBJECTS * body.length)
    for (let n = 0; n < OBJECTS; n++) await objects.delete('large', `object ${n}`)
    expect(await objects.collect({ leewayMs: 0 })).toMatchObject({ blocks: OBJECTS, failed: 0 })
    await vi.waitUntil(async () => (await bytesBelow(path)) <= before / 20, {
      timeout: 60_000,
      interval: 100,
    })
    await opened.close()
    expect(await bytesBelow(path)).toBeLessThanOrEqual(before / 20)
  }, 120_000)
})

test('what a node takes it says by directory, and what is dead it gives back when it is asked to', async () => {
  await using node = await openNode({ path })
  const { objects, storage } = node
  await objects.createBucket('large')
  for (let n = 0; n < 12; n++) await objects.put('large', `object ${n}`, body)
  const full = await storage.usage()
  expect(full.directories.map(({ path: at, holds }) => [at, holds])).toEqual([
    [join(path, 'log'), 'values'],
    [join(path, 'index'), 'index'],
  ])
  expect(full.liveBytes).toBeGreaterThanOrEqual(12 * body.length)
  expect(full.deadBytes).toBeLessThan(body.length)
  expect(full.diskBytes).toBeGreaterThan(12 * body.length)
  for (let n = 0; n < 11; n++) await objects.delete('large', `object ${n}`)
  await objects.collect({ leewayMs: 0 })
  const told: unknown[] = []
  await storage.compact({ onProgress: (progress) => told.push(progress) })
  const left = await storage.usage()
  expect(told.at(-1)).toMatchObject({ segments: 1, movedBytes: expect.any(Number) })
  expect(left.liveBytes).toBeLessThan(2 * body.length)
  expect(left.deadBytes).toBeLessThan(2 * body.length)
  const { body: kept } = await objects.get('large', 'object 11')
  const chunks: Uint8Array[] = []
  for await (const chunk of kept) chunks.push(chunk)
  expect(Buffer.concat(chunks).equals(body)).toBe(true)
})
