import { borrowBuffer, KiB, returnBuffer } from '@atoll/core'
import { expect, test } from 'vitest'
import { islands, keyOn } from './islands.ts'

const BYTES = 300 * KiB

/** A value as a disk answers it: in an array that its reader may return. */
function lentValue(): Uint8Array {
  return new Uint8Array(borrowBuffer(BYTES), 0, BYTES).fill(7)
}

test('what a read gives to other replicas is theirs, whatever becomes of the value that the reader returns', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, primaries } = setting
  const id = keyOn(setting, ['n5', 'n1', 'n2'], 'once')
  await world.run(async () => {
    const value = lentValue()
    await coordinator.put(id, { value })
    await coordinator.idle()
    const local = primaries(id).find(({ node }) => node === 'n1')
    if (local === undefined) throw new Error('n1 is a primary')
    replicas.forget(local, id)
    replicas.delayMs = (_node, operation) => (operation === 'put' ? 1000 : 1)
    const [read] = (await coordinator.get(id)).values
    expect(read?.value.buffer).toBe(value.buffer)
    returnBuffer(value)
    const lentNext = borrowBuffer(BYTES)
    expect(lentNext).toBe(value.buffer)
    new Uint8Array(lentNext).fill(0)
    await coordinator.idle()
    expect(replicas.calls.at(-1)).toMatchObject({ operation: 'put', node: 'n1' })
    const [kept] = replicas.peek(local, id)?.siblings ?? []
    expect(Buffer.compare(kept?.value ?? Buffer.alloc(0), lentValue())).toBe(0)
  })
})

test('a value that only its reader has is free when the reader returns it', async () => {
  const setting = await islands()
  const { world, coordinator } = setting
  const id = keyOn(setting, ['n5', 'n1', 'n2'], 'once')
  await world.run(async () => {
    const value = lentValue()
    await coordinator.put(id, { value })
    await coordinator.idle()
    await coordinator.get(id)
    returnBuffer(value)
    expect(borrowBuffer(BYTES)).toBe(value.buffer)
  })
})
