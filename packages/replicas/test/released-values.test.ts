import { writeOnceRecord } from '@atoll/causality'
import { borrowBuffer, KiB, returnBuffer } from '@atoll/core'
import { expect, it } from 'vitest'
import { Atoll, CALL, type Island, OWNED_BY_N1 } from '../../handoff/test/atoll.ts'
import { content, id, valuesOf, write } from '../../vnode/test/world.ts'

const NAMES = ['n1', 'n2', 'n3']
const TARGET = { node: 'n1', partition: 1, role: 'primary', epoch: 1 } as const
const FRESH = { ...CALL, isFresh: true }
/** Of no other test's arrays. */
const BYTES = 52 * KiB

const run = (work: (n1: Island, n2: Island, n3: Island, atoll: Atoll) => Promise<void>) =>
  new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
    await work(n1, n2, n3, atoll)
  })

/** A block in an array that is lent. */
function lentBlock(key: string) {
  const value = new Uint8Array(borrowBuffer(BYTES), 0, BYTES).fill(key.charCodeAt(0))
  const { valueCrc32, writeId } = write(id(key, 'blocks'), content(value))
  const record = writeOnceRecord(content(value), valueCrc32, writeId)
  return { key: id(key, 'blocks'), value, record, text: key.repeat(BYTES) }
}

/** Whether the array is free once whoever put the block gives it back. */
function isFreeWhenReturned(value: Uint8Array): boolean {
  returnBuffer(value)
  return borrowBuffer(BYTES) === value.buffer
}

it('a block that a vnode has on disk is let go of, near and far, and what is there stays', async () => {
  await run(async (n1, _, n3) => {
    for (const [node, name] of [
      [n1, 'a'],
      [n3, 'b'],
    ] as const) {
      const { key, value, record, text } = lentBlock(name)
      expect(await node.replicas.put(TARGET, key, record, FRESH)).toMatchObject({ released: true })
      expect(isFreeWhenReturned(value)).toBe(true)
      value.fill(0xdd)
      expect(valuesOf((await n1.host.get({ partition: 1, id: key })).record)).toEqual([text])
    }
  })
})

it('nothing is let go of where a record is merged', async () => {
  await run(async (n1, _, n3) => {
    const { key, record } = lentBlock('a')
    for (const node of [n1, n3])
      expect((await node.replicas.put(TARGET, key, record, CALL)).released).not.toBe(true)
  })
})

it('a block on which another write builds while it is on its way to the disk is kept', async () => {
  await run(async (n1, _, n3, { world }) => {
    for (const [node, name] of [
      [n1, 'a'],
      [n3, 'b'],
    ] as const) {
      const { key, value, record, text } = lentBlock(name)
      const putting = node.replicas.put(TARGET, key, record, FRESH)
      const merging = node.replicas.put(TARGET, key, record, CALL)
      expect(await putting).toMatchObject({ released: true })
      await merging
      expect(world.marks.has('vnode.write-on-pending')).toBe(true)
      expect(isFreeWhenReturned(value)).toBe(false)
      expect(valuesOf((await n1.host.get({ partition: 1, id: key })).record)).toEqual([text])
    }
  })
})

it('a block that is still on its way to a node that is being filled is kept, near and far', async () => {
  await run(async (n1, n2, n3) => {
    const { mirrors } = n1.host
    for (const [node, name] of [
      [n1, 'a'],
      [n3, 'b'],
    ] as const) {
      mirrors.begin(1, 'n2')
      const { key, value, record, text } = lentBlock(name)
      const { released } = await node.replicas.put(TARGET, key, record, FRESH)
      if (node === n1) expect(released).toBe(false)
      else expect(isFreeWhenReturned(value)).toBe(false)
      await Promise.all(mirrors.of(1)?.get('n2')?.underWay ?? [])
      expect(valuesOf((await n2.host.get({ partition: 1, id: key })).record)).toEqual([text])
      mirrors.end(1, 'n2')
      const other = lentBlock(name.toUpperCase())
      expect(await node.replicas.put(TARGET, other.key, other.record, FRESH)).toMatchObject({
        released: true,
      })
      expect(isFreeWhenReturned(other.value)).toBe(true)
    }
  })
})
