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
