import type { StoredRecord } from '@atoll/causality'
import { createWorld, type SimDisk, type SimRuntime } from '@atoll/sim'
import { describe, expect, it } from 'vitest'
import { VnodeHost } from '../src/index.ts'
import { content, id, policyOf, valuesOf, write } from './world.ts'

/** Lives of which each follows on the one before, as far as it has ended soundly. */
function onDisk(run: (life: Lives) => Promise<void>): Promise<unknown> {
  const world = createWorld({ seed: 7, disk: { tornByFailure: true } })
  return world.run(() => run(new Lives(world.disk('n1'), world.runtime('n1'))))
}

class Lives {
  readonly disk: SimDisk
  readonly runtime: SimRuntime
  wasSound: boolean | undefined

  constructor(disk: SimDisk, runtime: SimRuntime) {
    this.disk = disk
    this.runtime = runtime
  }

  async open(partitions = 8): Promise<VnodeHost> {
    const beforeClose = async ({ isSound }: { readonly isSound: boolean }) => {
      this.wasSound = isSound
    }
    const lineage = () => ({ name: 'only', continues: true })
    const host = new VnodeHost(
      this.runtime,
      { database: this.disk.open(), policyOf, lineage, beforeClose },
      { node: 'n1', partitions },
    )
    await host.open()
    return host
  }
}

const actorOf = (record: StoredRecord | undefined) => record?.siblings.at(-1)?.dot.actor

describe('what was decided of a write', () => {
  it('is told before it is on the disk, and is what is answered when it is', () =>
    onDisk(async (lives) => {
      const host = await lives.open()
      const course: string[] = []
      let told: StoredRecord | undefined
      const reply = await host.coordinate(write(id('k'), content('one')), (record) => {
        told = record
        course.push('decided')
      })
      course.push('answered')
      expect(course).toEqual(['decided', 'answered'])
      expect(told).toBe(reply.record)
      expect(valuesOf(told)).toEqual(['one'])
      await host.close()
      expect(lives.wasSound).toBe(true)
    }))

  it('is not told of a write that is declined, or there already', () =>
    onDisk(async (lives) => {
      const host = await lives.open()
      const first = write(id('k'), content('one'))
      await host.coordinate(first)
      let told = 0
      const count = () => {
        told += 1
      }
      const declined = { ...write(id('k'), content('two')), ifAlone: true }
      expect(await host.coordinate(declined, count)).toMatchObject({ declined: true })
      await host.coordinate(first, count)
      expect(told).toBe(0)
      await host.close()
    }))

  it('may be lost here, and then no actor of that life goes on', () =>
    onDisk(async (lives) => {
      const host = await lives.open()
      const { record: before } = await host.coordinate(write(id('before'), content('0')))
      let lost: StoredRecord | undefined
      lives.disk.failWrites()
      const writing = host.coordinate(write(id('k'), content('1')), (record) => {
        lost = record
      })
      await expect(writing).rejects.toMatchObject({ code: 'ATOLL_STORAGE' })
      expect(actorOf(lost)).toBe(actorOf(before))
      await lives.runtime.clock.sleep(5000)
      expect(host.storage.failure).toBeUndefined()
      // Read anew from the disk, where the lease of the actor still lies.
      await host.refile(16)
      const { record: after } = await host.coordinate(write(id('k'), content('2')))
      expect(actorOf(after)).not.toBe(actorOf(lost))
      await host.close()
      expect(lives.wasSound).toBe(false)
      const next = await lives.open(16)
      await next.close()
      expect(lives.wasSound).toBe(true)
    }))
})
