import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AtollNode, createNode } from '../src/index.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atoll-node-space-'))
})
afterEach(() => rm(directory, { recursive: true }))

const NOTHING = { liveBytes: undefined, deadBytes: undefined, freeBytes: undefined }

const OBJECTS = 24

async function writeAndCollect({ objects }: AtollNode): Promise<void> {
  await objects.createBucket('letters')
  for (let n = 0; n < OBJECTS; n++) {
    const body = Buffer.alloc(600_000)
    // LevelDB would compress what repeats.
    for (let at = 0; at < body.length; at += 4) body.writeInt32LE(Math.imul(at + n, 0x9e3779b1), at)
    await objects.put('letters', `letter ${n}`, body)
  }
  for (let n = 0; n < OBJECTS; n++) await objects.delete('letters', `letter ${n}`)
  await objects.collect({ leewayMs: 0 })
}

describe('the space of a node', () => {
  test('in memory is not known, and there is nothing to compact', async () => {
    await using node = await createNode({ storage: new MemoryLevel(VIEW) })
    expect(await node.storage.usage()).toEqual({ ...NOTHING, diskBytes: undefined, directories: [] })
    await node.storage.compact()
  })

  test('on LevelDB is what its files take, and compacting gives back what was collected', async () => {
    const path = join(directory, 'data')
    await using node = await createNode({ storage: new ClassicLevel<Uint8Array, Uint8Array>(path, VIEW) })
    await writeAndCollect(node)
    await node.storage.compact()
    const { diskBytes, ...rest } = await node.storage.usage()
    expect(rest).toEqual({ ...NOTHING, directories: [{ path, holds: 'all', ...NOTHING, diskBytes }] })
    expect(diskBytes).toBeLessThan(OBJECTS * 60_000)
    expect(diskBytes).toBeGreaterThan(0)
  })

  test('in a sublevel is that of the whole database', async () => {
    const path = join(directory, 'host')
    const host = new ClassicLevel<Uint8Array, Uint8Array>(path, VIEW)
    {
      await using node = await createNode({ storage: host.sublevel<Uint8Array, Uint8Array>('atoll', VIEW) })
      expect(await node.storage.usage()).toMatchObject({ directories: [{ path, holds: 'all' }] })
      await node.storage.compact()
    }
    await host.close()
  })

  test('is not asked of a node that is closed, nor given back with options that it does not know', async () => {
    const node = await createNode({ storage: new MemoryLevel(VIEW) })
    const { storage } = node
    // @ts-expect-error: a misspelt option
    await expect(storage.compact({ onprogress: () => {} })).rejects.toThrow(/no option "onprogress"/)
    // @ts-expect-error: no signal
    await expect(storage.compact({ signal: 1 })).rejects.toThrow(/signal must be an AbortSignal, got 1/)
    await expect(storage.compact({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    )
    await node.close()
    await expect(storage.usage()).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
    await expect(storage.compact()).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  })
})
