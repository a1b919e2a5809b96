import { isAtollError, KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { BUCKETS_TYPE, type KvStore, ObjectStore } from '../src/index.ts'
import { manualRuntime } from './manual-runtime.ts'
import { ThreeReplicas } from './three-replicas.ts'

const OPTIONS = { blockBytes: 4 * KiB, inlineBytes: 100 }

/** The store as a node sees it that reaches these replicas, the one that begins its writes first. */
function reaching(kv: ThreeReplicas, replicas: readonly number[], before = async () => {}): KvStore {
  const call = async <T>(task: () => Promise<T>) => {
    await before()
    kv.reach = () => replicas
    return await task()
  }
  return {
    get: (id, options) => {
      // Who repairs hears all that are there.
      const all = options?.repair === true ? () => [0, 1, 2] : () => replicas
      return before().then(() => {
        kv.reach = all
        return kv.get(id, options)
      })
    },
    put: (id, write) => call(() => kv.put(id, write)),
    delete: (id, options) => call(() => kv.delete(id, options)),
    scan: (scan) => call(() => kv.scan(scan)),
  }
}

/** A bucket of which one replica alone has heard that it is deleted; the others know that it closes, since long ago. */
async function halfDeleted() {
  const runtime = manualRuntime()
  const kv = new ThreeReplicas()
  const deleter = new ObjectStore(runtime, { kv }, OPTIONS)
  await deleter.createBucket('reef')
  let writes = 0
  kv.reach = (call, type) => (call === 'put' && type === BUCKETS_TYPE && ++writes === 2 ? [0] : [0, 1, 2])
  await expect(deleter.deleteBucket('reef')).rejects.toMatchObject({ definite: false })
  expect(writes).toBe(2)
  const writer = new ObjectStore(runtime, { kv: reaching(kv, [1, 2]) }, OPTIONS)
  await expect(writer.put('reef', 'a', 'x')).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED' })
  runtime.advance(31_000)
  return { runtime, kv, writer }
}

test.each([1, 2, 3, 4])(
  'a bucket that is created again while another node opens it hides nothing that was acknowledged: at step %i',
  async (step) => {
    const { runtime, kv, writer } = await halfDeleted()
    let steps = 0
    let isStored: boolean | undefined
    const creator = new ObjectStore(
      runtime,
      {
        kv: reaching(kv, [0, 2], async () => {
          if (++steps !== step) return
          isStored = await writer.put('reef', 'a', 'x').then(
            () => true,
            (error) => {
              if (!isAtollError(error)) throw error
              return false
            },
          )
        }),
      },
      OPTIONS,
    )
    const isCreated = await creator.createBucket('reef').then(
      () => true,
      (error) => {
        expect(error).toMatchObject({ code: 'ATOLL_BUCKET_EXISTS' })
        return false
      },
    )
    expect(steps).toBeGreaterThanOrEqual(step)
    expect(isCreated || isStored).toBe(true)
    runtime.advance(5000)
    const reader = new ObjectStore(runtime, { kv: reaching(kv, [2, 1, 0]) }, OPTIONS)
    expect(await reader.headBucket('reef')).toMatchObject({ name: 'reef' })
    const found = await reader.head('reef', 'a').catch(() => undefined)
    if (isStored) expect(found).toMatchObject({ size: 1 })
    else expect(found).toBeUndefined()
  },
)
