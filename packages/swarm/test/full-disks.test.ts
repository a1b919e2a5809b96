import { KiB } from '@atoll/core'
import { createCluster } from '@atoll/node'
import { createWorld } from '@atoll/sim'
import { expect, test } from 'vitest'

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5']
const BLOCK = 4 * KiB

async function run(seed: number, full: readonly string[]) {
  const world = createWorld({ seed })
  return await world.run(async () => {
    await using cluster = await createCluster({
      nodes: NAMES.length,
      partitions: 16,
      runtime: (name) => world.runtime(name),
      storage: (name) => world.disk(name).open(),
      onCrash: (name) => world.disk(name).crash(),
      objects: { blockBytes: BLOCK, inlineBytes: 0 },
    })
    const { objects } = cluster.node('n1')
    const { clock } = world.runtime('client')
    await objects.createBucket('reef')
    let fullAtMs = 0
    async function* body() {
      for (let block = 0; block < 8; block++) {
        if (block === 4) {
          fullAtMs = clock.monotonicMs()
          for (const name of full) world.disk(name).fill()
        }
        yield new Uint8Array(BLOCK).fill(block)
        await clock.sleep(50)
      }
    }
    const outcome = await objects.put('reef', 'a', body()).then(
      () => 'stored',
      (error: unknown) => error,
    )
    return { outcome, lastedMs: clock.monotonicMs() - fullAtMs }
  })
}

test('an upload hears within a second that all disks are full', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { outcome, lastedMs } = await run(seed, NAMES)
    expect(outcome).toMatchObject({
      code: 'ATOLL_DISK_FULL',
      transient: true,
      details: { reason: expect.stringMatching(/^(reserve|ENOSPC)$/) },
    })
    expect(lastedMs).toBeLessThan(2000)
  }
})

test('and goes on where some disks have room', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { outcome } = await run(seed, ['n2', 'n4'])
    expect(outcome).toBe('stored')
  }
})
