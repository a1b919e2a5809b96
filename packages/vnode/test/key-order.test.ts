import type { StoredRecord } from '@atoll/causality'
import { describe, expect, it } from 'vitest'
import { KeyOrder } from '../src/key-order.ts'

const RECORD: StoredRecord = { clock: new Map(), siblings: [] }
const WRITTEN = { record: RECORD, bytes: 1, bodyBytes: 0 }

function gate() {
  let open: () => void = () => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, passed }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('the order of keys', () => {
  it('lets one decision at a time have a key, first come first served, and other keys go on', async () => {
    const order = new KeyOrder(10)
    const events: string[] = []
    const gates = [gate(), gate(), gate()]
    const runs = gates.map(({ passed }, at) =>
      order.run('k', async () => {
        events.push(`begin ${at}`)
        await passed
        events.push(`end ${at}`)
      }),
    )
    await order.run('other', async () => void events.push('other'))
    gates[2]!.open()
    gates[1]!.open()
    await settle()
    expect(events).toEqual(['begin 0', 'other'])
    gates[0]!.open()
    await Promise.all(runs)
    expect(events.slice(2)).toEqual(['end 0', 'begin 1', 'end 1', 'begin 2', 'end 2'])
  })

  it('keeps the turn of a key to whoever has it, though what was on its way before is refused only now', async () => {
    const order = new KeyOrder(10)
    const over: (() => void)[] = []
    const held = () =>
      order.hold('k', WRITTEN, (onOver) => {
        over.push(onOver)
        return Promise.resolve()
      })
    await order.run('k', held)
    await order.run('k', held)
    order.dropPending()
    over[0]!()
    expect(order.enter('k')).toBeUndefined()
    over[1]!()
    expect(order.isBusy('k')).toBe(true)
    order.leave('k')
    expect(order.isBusy('k')).toBe(false)
  })

  it('goes on after a decision that throws', async () => {
    const order = new KeyOrder(10)
    const bad = order.run('k', async () => {
      throw new Error('no')
    })
    const good = order.run('k', async () => 'yes')
    await expect(bad).rejects.toThrow('no')
    expect(await good).toBe('yes')
  })

  it('refuses what would wait behind too many, and is free again later', async () => {
    const order = new KeyOrder(2)
    const { open, passed } = gate()
    const runs = [0, 1, 2].map(() => order.run('k', () => passed))
    await expect(order.run('k', () => passed)).rejects.toMatchObject({
      code: 'ATOLL_OVERLOADED',
      definite: true,
    })
    open()
    await Promise.all(runs)
    await order.run('k', async () => {})
  })

  it('keeps a pending record until its batch is over, and not a newer one with it', async () => {
    const order = new KeyOrder(10)
    const [first, second] = [gate(), gate()]
    const holdUntil = (over: Promise<void>) => (onOver: () => void) => {
      void over.then(onOver)
      return over
    }
    await order.run('k', async () => void order.hold('k', WRITTEN, holdUntil(first.passed)))
    const older = order.pending('k')
    expect(older).toMatchObject(WRITTEN)
    await order.run('k', async () => void order.hold('k', WRITTEN, holdUntil(second.passed)))
    const newer = order.pending('k')
    expect(newer).not.toBe(older)
    first.open()
    await settle()
    expect(order.pending('k')).toBe(newer)
    second.open()
    await settle()
    expect(order.pending('k')).toBeUndefined()
  })

  it('forgets every pending record at once', async () => {
    const order = new KeyOrder(10)
    const { passed } = gate()
    await order.run('k', async () => void order.hold('k', WRITTEN, () => passed))
    order.dropPending()
    expect(order.pending('k')).toBeUndefined()
  })
})
