import { AtollError, type KeyId } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { content, id, write } from '../../vnode/test/world.ts'
import { Atoll, alter, type Island, insist, OWNED_BY_N1 } from './atoll.ts'

const NAMES = ['n1', 'n2', 'n3']
const HANDOFF = { retryBaseMs: 10, retryCapMs: 20 }
/** For how long a removal waits for its turn: longer than a handoff takes. */
const TURN_MS = 200

const isK = ({ key }: KeyId) => Buffer.from(key).toString() === 'k'

/** The removal of k waits for its turn, and that of another key is refused. */
function hinder(atoll: Atoll, island: Island): void {
  alter(island, (vnode) => {
    const remove = vnode.remove.bind(vnode)
    return {
      remove: async (record) => {
        if (!isK(record.id)) throw new AtollError('ATOLL_OVERLOADED', 'too many wait for a hot key')
        await atoll.sleep(TURN_MS)
        return remove(record)
      },
    }
  })
}

/** What comes in while n2, which has no part in the partition yet, gives its records to n1. */
const INCOMING: readonly [string, (n1: Island) => Promise<unknown>][] = [
  ['a transfer', ({ handoffs }) => handoffs.transfer(1, 'n2')],
  [
    'a copy for a new holder',
    ({ handoffs }) =>
      handoffs.refill({ id: 'add', partition: 1, select: () => [{ node: 'n2', partition: 1 }] }),
  ],
]

describe('what a node gives away while it shall hold it', () => {
  it.each(INCOMING)('does not go behind the back of %s', async (_what, come) => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: HANDOFF }).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
      for (const key of ['a', 'k']) {
        const { record } = await n1.host.coordinate(write(id(key), content('v')))
        await n2.host.put({ partition: 1, id: id(key), record })
      }
      hinder(atoll, n2)
      const giving = n2.handoffs.giveBack({ partition: 1, to: ['n1'] }).catch((error: unknown) => error)
      // Both removals have begun, and one of them has failed.
      await atoll.sleep(TURN_MS / 2)
      await insist(atoll, n1, () => come(n1))
      expect(await giving).toMatchObject({ code: expect.stringMatching(/^ATOLL_(OVERLOADED|ABORTED)$/) })
      await atoll.sleep(TURN_MS)
      for (const key of ['a', 'k']) expect(await n2.values({ ...AT_N2 }, id(key)), key).toEqual(['v'])
    })
  })

  it('is not given while it comes', async () => {
    const handoff = { ...HANDOFF, pageRecords: 1, sendBytesPerSecond: 1000 }
    await new Atoll(NAMES, OWNED_BY_N1, { handoff }).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
      for (let at = 0; at < 20; at++) await n1.host.coordinate(write(id(`k${at}`), content('x'.repeat(100))))
      const [, refill] = INCOMING[1]!
      const refilling = refill(n1)
      while ((await n2.host.count(1)) < 3) await atoll.sleep(1)
      await expect(n2.handoffs.giveBack({ partition: 1, to: ['n1'] })).rejects.toMatchObject({
        code: 'ATOLL_OVERLOADED',
      })
      await refilling
      expect(await n2.host.count(1)).toBe(20)
    })
  })
})

const AT_N2 = { node: 'n2', partition: 1, role: 'primary', epoch: 1 } as const
