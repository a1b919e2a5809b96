import type { StoredRecord } from '@atoll/causality'
import { describe, expect, it } from 'vitest'
import { collect, content, id, valuesOf, write } from '../../vnode/test/world.ts'
import { Atoll, CALL, type Island, MOVED, OWNED_BY_N1 } from './atoll.ts'

const NAMES = ['n1', 'n2', 'n3']
const KEY = id('k')
const at = (node: string, epoch = 0) => ({ node, partition: 1, role: 'primary', epoch }) as const

/** What n1 has written, and a record of another write under the same dot. */
async function clash(n1: Island): Promise<{ readonly record: StoredRecord; readonly other: StoredRecord }> {
  const record = await n1.write(at('n1'), KEY, 'one')
  const { content: two, valueCrc32 } = write(KEY, content('two'))
  const siblings = record.siblings.map((sibling) => ({
    ...sibling,
    ...two,
    valueCrc32,
    writeId: new Uint8Array(16).fill(9),
  }))
  return { record, other: { ...record, siblings } }
}

const islands = (atoll: Atoll) => NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]

/** One does not know what a node can do before it has talked with it. */
async function meet(atoll: Atoll): Promise<void> {
  for (const from of NAMES) for (const to of NAMES) await atoll.node(from).read(at(to), id('nothing'))
}

const valuesAt = async ({ host }: Island) =>
  valuesOf((await host.get({ partition: 1, id: KEY })).record).sort()

describe('beside a node that does not tell writes of one dot apart', () => {
  it('a put asks those for it that can, and the other one takes it as ever', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { before: ['n2'] }).run(async (atoll) => {
      const [n1, n2, n3] = islands(atoll)
      await meet(atoll)
      const { record, other } = await clash(n1)
      const [actor] = record.clock.keys()
      const options = { ...CALL, tellTwice: true }
      for (const node of ['n2', 'n3']) await n1.replicas.put(at(node), KEY, record, options)
      const put = (from: Island, to: string) => from.replicas.put(at(to), KEY, other, options)
      expect(await put(n1, 'n3')).toEqual({ changed: true, alone: false, twice: [actor] })
      expect(await put(n1, 'n2')).not.toHaveProperty('twice')
      expect(await valuesAt(n3)).toEqual(['one', 'two'])
      expect((await valuesAt(n2)).length).toBeGreaterThan(0)
      // And it asks nobody.
      expect(await n2.replicas.put(at('n3'), KEY, other, CALL)).toEqual({ changed: false })
    })
  })

  it('a put that is sent on to it, by one that was asked for more, arrives', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { before: ['n2'] }).run(async (atoll) => {
      const [n1, n2, n3] = islands(atoll)
      await meet(atoll)
      const { other } = await clash(n1)
      await n1.handoffs.transfer(1, 'n2')
      atoll.decide(MOVED)
      const reply = await n3.replicas.put(at('n1', 1), id('l'), other, { ...CALL, tellTwice: true })
      expect(reply).toEqual({ changed: true })
      expect(await n2.values(at('n2', 2), id('l'))).toEqual(['two'])
    })
  })

  it.each([
    ['to it', ['n2']],
    ['from it', ['n1']],
    ['between such', ['n1', 'n2']],
    ['elsewhere', ['n3']],
  ])('a partition moves whole: %s', async (_, before) => {
    await new Atoll(NAMES, OWNED_BY_N1, { before }).run(async (atoll) => {
      const [n1, n2] = islands(atoll)
      await meet(atoll)
      for (let key = 0; key < 30; key++) await n1.write(at('n1'), id(`k${key}`), `v${key}`)
      const records = await collect(n1.host.fold(1))
      await n1.handoffs.transfer(1, 'n2')
      atoll.decide(MOVED)
      expect(await collect(n2.host.fold(1))).toEqual(records)
      expect(await n1.values(at('n1', 1), id('k7'))).toEqual(['v7'])
    })
  })
})
