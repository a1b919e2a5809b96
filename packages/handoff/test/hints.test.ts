import { fromUtf8, type KeyId } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { withValuesAtHeads } from '../../vnode/test/older-formats.ts'
import { content, id, write } from '../../vnode/test/world.ts'
import { Atoll, OWNED_BY_N1 } from './atoll.ts'

describe('a node that is back', () => {
  const KEYS = Array.from({ length: 12 }, (_, at) => id(`k${at}`))
  const select = () => [{ node: 'n2', partition: 1 }]
  const plan = { partition: 1, node: 'n2', select }
  const target = { node: 'n1', partition: 1 }

  async function noted(atoll: Atoll): Promise<void> {
    for (const key of KEYS) await atoll.node('n1').write(target, key, 'before', {})
    for (const key of KEYS) await atoll.node('n1').host.hint({ partition: 1, id: key, hintFor: ['n2'] })
  }

  async function lacking(atoll: Atoll): Promise<number> {
    const held = await Promise.all(KEYS.map((key) => atoll.node('n2').host.get({ partition: 1, id: key })))
    return held.filter(({ record }) => record === undefined).length
  }

  async function deliver(atoll: Atoll): Promise<void> {
    while (atoll.node('n1').host.hints.all().length > 0) {
      await atoll
        .node('n1')
        .handoffs.deliverHints(plan)
        .catch(() => {})
      await atoll.sleep(50)
    }
  }

  it('gets what it missed, whenever the power of the noting node fails', async () => {
    let isOver = false
    for (let left = 1; !isOver; left++) {
      const atoll = new Atoll(['n1', 'n2'], OWNED_BY_N1, { handoff: { pageRecords: 4 } })
      await atoll.run(async () => {
        await noted(atoll)
        let crash: Promise<void> | undefined
        const blow = () => {
          crash = atoll.node('n1').crash()
        }
        atoll.node('n1').fuse = { left, blow }
        const first = atoll
          .node('n1')
          .handoffs.deliverHints(plan)
          .catch(() => {})
        await first
        isOver = atoll.node('n1').fuse !== undefined
        atoll.node('n1').fuse = undefined
        await crash
        await deliver(atoll)
        expect(await lacking(atoll), `crash at operation ${left}`).toBe(0)
      })
    }
  })

  it('gets what it missed while it was given the rest', async () => {
    const atoll = new Atoll(['n1', 'n2'], OWNED_BY_N1, {
      handoff: { pageRecords: 2, sendBytesPerSecond: 2000 },
    })
    await atoll.run(async () => {
      await noted(atoll)
      const delivering = atoll.node('n1').handoffs.deliverHints(plan)
      for (const key of KEYS) {
        const { host } = atoll.node('n1')
        const { partition: _, ...rest } = write(key, content('meanwhile'), 1)
        await host.coordinate({ partition: 1, ...rest, hintFor: ['n2'] })
        await atoll.sleep(100)
      }
      await delivering
      await deliver(atoll)
      for (const key of KEYS) {
        const here = await atoll.node('n1').values(target, key)
        expect(await atoll.node('n2').values({ node: 'n2', partition: 1 }, key)).toEqual(here)
      }
    })
  })
})

it('what a fallback has given back to all it owes nobody any more, and it offers nothing for that', async () => {
  await new Atoll(['n1', 'n2', 'n3'], OWNED_BY_N1).run(async (atoll) => {
    const fallback = atoll.node('n3')
    const names = Array.from({ length: 20 }, (_, number) => `k${number}`)
    for (const name of names)
      await fallback.host.coordinate({ ...write(id(name), content('v')), hintFor: ['n2'] })
    expect(fallback.host.hints.all()).toMatchObject([{ partition: 1, node: 'n2', keys: 20 }])
    await fallback.handoffs.giveBack({ partition: 1, to: ['n1', 'n2'] })
    const offered: string[] = []
    const select = ({ key }: KeyId) => {
      offered.push(fromUtf8(key))
      return [{ node: 'n2', partition: 1 }]
    }
    await fallback.handoffs.deliverHints({ partition: 1, node: 'n2', select })
    expect(offered).toEqual([])
    expect(fallback.host.hints.all()).toEqual([])
    expect(fallback.runtime.metrics.value('atoll_vnode_hinted_keys')).toBe(0)
    for (const node of ['n1', 'n2']) expect(await atoll.node(node).host.count(1)).toBe(20)
  })
})

it('large values that a build before has stored with their heads are owed and given to those who missed them, before and after', async () => {
  for (const waits of [false, true]) {
    await new Atoll(['n1', 'n2'], OWNED_BY_N1).run(async (atoll) => {
      const names = Array.from({ length: 20 }, (_, number) => `k${number}`)
      const [n1, n2] = [atoll.node('n1'), atoll.node('n2')]
      for (const name of names)
        await n1.host.coordinate({
          ...write(id(name), content(new Uint8Array(2000).fill(1))),
          hintFor: ['n2'],
        })
      await n1.stop()
      const old = n1.disk.open()
      await old.open()
      expect(await withValuesAtHeads(old)).toBe(20)
      await old.close()
      await n1.start()
      expect(n1.host.hints.all()).toMatchObject([{ partition: 1, node: 'n2', keys: 20 }])
      if (waits) await n1.host.converted
      const select = () => [{ node: 'n2', partition: 1 }]
      await n1.handoffs.deliverHints({ partition: 1, node: 'n2', select })
      expect(n1.host.hints.all()).toEqual([])
      for (const name of names)
        expect(
          (await n2.host.get({ partition: 1, id: id(name) })).record?.siblings.map(
            ({ value }) => value.length,
          ),
        ).toEqual([2000])
    })
  }
})
