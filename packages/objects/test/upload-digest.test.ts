import { KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { ObjectStore } from '../src/index.ts'
import { md5, pattern } from './bodies.ts'
import { type ManualRuntime, manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB

/** A digest that says what it is asked for, and when the turn is over. */
function told(steps: string[]): ManualRuntime {
  const runtime = manualRuntime()
  const { stream } = runtime.digest
  const digest: ManualRuntime['digest'] = {
    ...runtime.digest,
    stream: (algorithm) => {
      const inner = stream(algorithm)
      return {
        ...inner,
        update: (chunk) => {
          steps.push('update')
          process.nextTick(() => steps.push('end of turn'))
          return inner.update(chunk)
        },
        digest: () => {
          steps.push('digest')
          return inner.digest()
        },
      }
    },
  }
  return { ...runtime, digest }
}

test('a digest ends in the turn of its last block, while the upload is still being announced', async () => {
  const steps: string[] = []
  const kv = new MemoryKv()
  const store = new ObjectStore(told(steps), { kv }, { blockBytes: BLOCK, inlineBytes: 100 })
  await store.createBucket('box')
  kv.before = () => new Promise((resolve) => setImmediate(resolve))
  for (const length of [BLOCK, BLOCK - 1, 2 * BLOCK + 7]) {
    steps.length = 0
    const body = pattern(length)
    expect((await store.put('box', 'k', [body])).etag).toBe(md5(body))
    expect(steps.slice(steps.lastIndexOf('update')).slice(0, 3)).toEqual(['update', 'digest', 'end of turn'])
  }
})
