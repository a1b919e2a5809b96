import type { KeyId } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { content, id, write } from '../../vnode/test/world.ts'
import { Atoll, alter, type Island, OWNED_BY_N1 } from './atoll.ts'

const AT_N1 = { node: 'n1', partition: 1, role: 'primary', epoch: 1 } as const
const HANDOFF = { pageRecords: 1, retryBaseMs: 10, pauseTimeoutMs: 100 }
/** Longer than writes may wait, and than the pause before the next attempt takes. */
const STALL_MS = 300

/** What is on the disk from now on is answered after a while. */
function stall(atoll: Atoll, island: Island): Promise<void> {
  island.syncing = atoll.sleep(STALL_MS)
  void island.syncing.then(() => {
    island.syncing = Promise.resolve()
  })
  return island.syncing
}

/** Where a pause of partition 1 stands when it has lasted for too long. */
interface Story {
  /** In the moment before writes begin to wait. */
  readonly beforePause: (atoll: Atoll, n1: Island) => Promise<void>
  /** When noted records of a page were sent in the pause, before their notes go. */
  readonly inPause: (atoll: Atoll, n1: Island) => void
}

const STORIES: readonly [string, Story][] = [
  [
    'a write that stands in a sync',
    {
      beforePause: async (atoll, n1) => {
        void stall(atoll, n1)
        void n1.host.coordinate(write(id('k'), content('first')))
        // It has come to the disk, and is not answered.
        await atoll.sleep(50)
      },
      inPause: () => {},
    },
  ],
  [
    'notes of a page that are forgotten, with another page behind it',
    {
      beforePause: async (_atoll, n1) => {
        for (const key of ['j', 'k']) await n1.host.coordinate(write(id(key), content('first')))
      },
      inPause: (atoll, n1) => void stall(atoll, n1),
    },
  ],
]

describe('a pause that was too long leaves nothing behind', () => {
  it.each(STORIES)('that waited for %s', async (_what, { beforePause, inPause }) => {
    await new Atoll(['n1', 'n2', 'n3'], OWNED_BY_N1, { handoff: HANDOFF }).run(async (atoll) => {
      const [n1, n2, n3] = ['n1', 'n2', 'n3'].map((name) => atoll.node(name)) as [Island, Island, Island]
      let counts = 0
      let removals = 0
      alter(n1, (vnode) => {
        const countNotes = vnode.countNotes.bind(vnode)
        const forgetNotes = vnode.forgetNotes.bind(vnode)
        return {
          countNotes: async () => {
            const notes = await countNotes()
            // In the second round nothing is left, and writes wait from the next moment on.
            if (++counts === 2) await beforePause(atoll, n1)
            return notes
          },
          forgetNotes: (keys) => {
            if (++removals === 1) inPause(atoll, n1)
            return forgetNotes(keys)
          },
        }
      })
      let second: Promise<unknown> | undefined
      alter(n2, (vnode) => {
        const merge = vnode.merge.bind(vnode)
        return {
          merge: async (key: KeyId, record) => {
            await merge(key, record)
            if (Buffer.from(key.key).toString() !== 'k' || second !== undefined) return
            await n1.syncing
            // Whatever waited for the disk goes on.
            await atoll.sleep(1)
            second = n3.write(AT_N1, id('k'), 'second')
            await second
          },
        }
      })
      await n1.handoffs.transfer(1, 'n2')
      expect(n1.runtime.metrics.value('atoll_handoff_failures_total', { code: 'ATOLL_TIMEOUT' })).toBe(1)
      await second
      expect(new Set(await n2.values({ ...AT_N1, node: 'n2' }, id('k')))).toEqual(
        new Set(['first', 'second']),
      )
    })
  })
})
