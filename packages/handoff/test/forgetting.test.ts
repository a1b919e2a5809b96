import { describe, expect, it } from 'vitest'
import { content, id, write } from '../../vnode/test/world.ts'
import { Atoll, alter, type Island, insist, OWNED_BY_N1 } from './atoll.ts'

const AT_N1 = { node: 'n1', partition: 1, role: 'primary', epoch: 1 } as const
const NAMES = ['n1', 'n2', 'n3']
const HANDOFF = { pageRecords: 1, retryBaseMs: 10, retryCapMs: 20 }
/** How long the disk takes over a step in which a transfer is forgotten: longer than another transfer takes. */
const SLOW_MS = 500

describe('a transfer that is forgotten step by step', () => {
  it.each(['forgetTransfer', 'clearNotes'] as const)('does no harm to the next one in %s', async (step) => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: HANDOFF }).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      for (const key of ['j', 'k']) await n1.write(AT_N1, id(key), 'first')
      atoll.network.cut('n2')
      const given = n1.handoffs.transfer(1, 'n2').catch((error: unknown) => error)
      await atoll.sleep(50)
      // An old note.
      await n1.write(AT_N1, id('k'), 'second')
      alter(n1, (vnode) => {
        const before = vnode[step].bind(vnode)
        const forgetNotes = vnode.forgetNotes.bind(vnode)
        return {
          forgetNotes,
          [step]: async () => {
            if (step === 'forgetTransfer') await before()
            await atoll.sleep(SLOW_MS)
            if (step === 'clearNotes') await before()
          },
        }
      })
      // It begins again when the cancellation has come to that step, and shows the new owner k as it was.
      let third: Promise<unknown> | undefined
      alter(n3, (vnode) => {
        const merge = vnode.merge.bind(vnode)
        return {
          merge: async (key, record) => {
            await merge(key, record)
            if (Buffer.from(key.key).toString() !== 'k' || third !== undefined) return
            third = n1.host.coordinate(write(id('k'), content('third')))
            await third
            // Until the cancellation has come to its end.
            await atoll.sleep(2 * SLOW_MS)
          },
        }
      })
      const cancelled = n1.handoffs.cancel(1)
      expect(await given).toMatchObject({ code: 'ATOLL_ABORTED' })
      await atoll.sleep(50)
      await insist(atoll, n1, () => n1.handoffs.transfer(1, 'n3'))
      await cancelled
      expect(n1.handoffs.outgoing()).toEqual(new Map([[1, 'n3']]))
      const { record } = await n3.host.get({ partition: 1, id: id('k') })
      const values = record?.siblings.map(({ value }) => Buffer.from(value).toString())
      expect(values).toContain('third')
      atoll.network.restore('n2')
      expect(n2.isUp).toBe(true)
    })
  })
})
