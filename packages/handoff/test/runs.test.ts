import { createWorld } from '@atoll/sim'
import { describe, expect, it } from 'vitest'
import { id } from '../../vnode/test/world.ts'
import { Job } from '../src/jobs.ts'
import { validateHandoffOptions } from '../src/options.ts'
import { Runs } from '../src/runs.ts'
import { Atoll, alter, type Island, OWNED_BY_N1 } from './atoll.ts'

const AT_N1 = { node: 'n1', partition: 1, role: 'primary', epoch: 1 } as const
const NAMES = ['n1', 'n2', 'n3']
/** Longer than anything takes that comes to an end. */
const LONG_MS = 60_000

const identity = { kind: 'transfer', direction: 'out', partition: 1, from: 'n1', to: 'n2' } as const

function makeRuns() {
  const world = createWorld({ seed: 1 })
  const runtime = world.runtime('n1')
  const runs = new Runs(runtime, validateHandoffOptions({}))
  const options = { job: new Job(runtime, identity), signal: undefined, atOnce: false, aim: 'to n2' }
  return { world, runtime, runs, options }
}

describe('runs that are closed', () => {
  it('begin nothing any more', async () => {
    const { world, runs, options } = makeRuns()
    await world.run(async () => {
      await runs.close()
      const begun: string[] = []
      const closed = { code: 'ATOLL_CLOSED' }
      const retried = runs.retry('transfer 1', options, async () => void begun.push('retried'))
      await expect(retried).rejects.toMatchObject(closed)
      const run = runs.run('refill 1', options, async () => void begun.push('run'))
      await expect(run).rejects.toMatchObject(closed)
      const noJob = runs.run(
        'return 1',
        { ...options, job: undefined },
        async () => void begun.push('no job'),
      )
      await expect(noJob).rejects.toMatchObject(closed)
      expect(begun).toEqual([])
      expect(runs.has('transfer 1')).toBe(false)
    })
  })

  it('keep a node from returning a partition that it is asked for while it closes', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
      await n1.write(AT_N1, id('k'), 'v')
      await n1.handoffs.transfer(1, 'n2')
      // Its endpoint and its host go on for a while.
      await n2.handoffs.close()
      const abort = new AbortController()
      const asking = n1.handoffs.cancel(1, { signal: abort.signal }).catch((error: unknown) => error)
      await atoll.sleep(100)
      expect(n2.handoffs.status().filter(({ direction }) => direction === 'out')).toEqual([])
      expect(n1.handoffs.outgoing()).toEqual(new Map([[1, 'n2']]))
      await n2.endpoint.close()
      abort.abort()
      expect(await asking).toMatchObject({ code: 'ATOLL_ABORTED' })
      expect(n2.runtime.metrics.value('atoll_handoff_failures_total', { code: 'ATOLL_CLOSED' })).toBe(0)
    })
  })
})

describe('a transfer of what is being taken back', () => {
  it('is refused until that has ended, one way or the other', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const n1 = atoll.node('n1')
      await n1.write(AT_N1, id('k'), 'v')
      await n1.handoffs.transfer(1, 'n2')
      atoll.network.cut('n2')
      const abort = new AbortController()
      const asking = n1.handoffs.cancel(1, { signal: abort.signal }).catch((error: unknown) => error)
      await atoll.sleep(10)
      const refused = { code: 'ATOLL_CHANGE_REFUSED', transient: true }
      await expect(n1.handoffs.transfer(1, 'n2')).rejects.toMatchObject(refused)
      abort.abort()
      expect(await asking).toMatchObject({ code: 'ATOLL_ABORTED' })
      await n1.handoffs.transfer(1, 'n2')
      // The other node is gone for good: what was sealed to it is not on its way to it while that is forgotten.
      let goOn = () => {}
      alter(n1, (vnode) => {
        const forgetTransfer = vnode.forgetTransfer.bind(vnode)
        return {
          forgetTransfer: async () => {
            await new Promise<void>((resolve) => {
              goOn = resolve
            })
            await forgetTransfer()
          },
        }
      })
      const lost = n1.handoffs.cancel(1, { isLost: true })
      await atoll.sleep(10)
      await expect(n1.handoffs.transfer(1, 'n2')).rejects.toMatchObject(refused)
      goOn()
      await lost
      expect(n1.handoffs.outgoing()).toEqual(new Map())
      atoll.network.restore('n2')
    })
  })
})

describe('who joins a transfer that is under way', () => {
  it('may give it up, though it goes on', async () => {
    const { world, runs, options } = makeRuns()
    await world.run(async () => {
      let finish = () => {}
      const work = () =>
        new Promise<void>((resolve) => {
          finish = resolve
        })
      const first = runs.retry('transfer 1', options, work)
      const abort = new AbortController()
      const joined = runs.retry('transfer 1', { ...options, signal: abort.signal }, work)
      const aborted = runs.retry('transfer 1', { ...options, signal: AbortSignal.abort() }, work)
      await expect(aborted).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
      const patient = runs.retry('transfer 1', options, work)
      abort.abort()
      await expect(joined).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
      expect(runs.has('transfer 1')).toBe(true)
      finish()
      await Promise.all([first, patient])
    })
  })

  it('may give up one that began again after a restart, whose target is away', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const n1 = atoll.node('n1')
      await n1.write(AT_N1, id('k'), 'v')
      await n1.handoffs.transfer(1, 'n2')
      atoll.network.cut('n2')
      await n1.crash()
      const abort = new AbortController()
      const joined = n1.handoffs.transfer(1, 'n2', { signal: abort.signal }).catch((error: unknown) => error)
      await atoll.sleep(100)
      abort.abort()
      const late = atoll.sleep(LONG_MS).then(() => 'late')
      expect(await Promise.race([joined, late])).toMatchObject({ code: 'ATOLL_ABORTED' })
      atoll.network.restore('n2')
    })
  })

  it('to another node is refused, and so is one that goes elsewhere than back', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await n1.write(AT_N1, id('k'), 'v')
      const first = n1.handoffs.transfer(1, 'n2')
      const same = n1.handoffs.transfer(1, 'n2')
      const other = n1.handoffs.transfer(1, 'n3')
      await expect(other).rejects.toMatchObject({ code: 'ATOLL_CHANGE_REFUSED' })
      await Promise.all([first, same])
      expect([await n2.host.count(1), await n3.host.count(1)]).toEqual([1, 0])
    })
    const { world, runs, options } = makeRuns()
    await world.run(async () => {
      const first = runs.retry('transfer 1', options, async () => {})
      const back = runs.retry('transfer 1', { ...options, aim: 'back to n2' }, async () => {})
      await expect(back).rejects.toMatchObject({ code: 'ATOLL_CHANGE_REFUSED', transient: true })
      await first
    })
  })
})
