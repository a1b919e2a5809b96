import { copyRecord } from '@atoll/causality'
import { fromUtf8, utf8 } from '@atoll/core'
import { expect, test } from 'vitest'
import { type Islands, islands, keyOn, texts } from './islands.ts'

/** A key of which the replica of this node has an older record, or none, and is the last that answers. */
async function withOlderHere(setting: Islands, type: string) {
  const { coordinator, replicas } = setting
  const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
  const [own] = setting.primaries(id)
  if (own === undefined) throw new Error('the key lies on this node')
  const { context } = await coordinator.put(id, { value: utf8('older') })
  const older = replicas.peek(own, id)
  if (type !== 'once') await coordinator.put(id, { value: utf8('newer'), context })
  await coordinator.idle()
  if (type === 'once' || older === undefined) replicas.forget(own, id)
  else replicas.store(own, id, older)
  const get = replicas.get.bind(replicas)
  // What the replicas have is theirs.
  replicas.get = async (...asked) => {
    const { record, ...read } = await get(...asked)
    return { ...read, record: record && copyRecord(record) }
  }
  return { id, own }
}

test.each([
  ['default', 'before the repair begins', { getMs: 100, changedMs: 0, text: 'newer' }],
  ['default', 'while the repair is under way', { getMs: 100, changedMs: 105, text: 'newer' }],
  ['once', 'while the repair is under way', { getMs: 1, changedMs: 5, text: 'older' }],
])(
  'what a reader of type %s does to a value %s reaches no replica',
  async (type, _, { getMs, changedMs, text }) => {
    const setting = await islands()
    const { coordinator, replicas, runtime, world } = setting
    await world.run(async () => {
      const { id, own } = await withOlderHere(setting, type)
      replicas.delayMs = (node, operation) => (node !== own.node ? 1 : operation === 'get' ? getMs : 10)
      const read = await coordinator.get(id)
      expect(texts(read)).toEqual([text])
      await runtime.clock.sleep(changedMs)
      for (const { value } of read.values) value.fill(0)
      await coordinator.idle()
      for (const { value, valueCrc32 } of replicas.peek(own, id)?.siblings ?? [])
        expect(runtime.digest.crc32(value)).toBe(valueCrc32)
      // What was not repaired by that is by the next read.
      expect(texts(await coordinator.get(id))).toEqual([text])
      await coordinator.idle()
      expect(replicas.peek(own, id)?.siblings.map(({ value }) => fromUtf8(value))).toEqual([text])
    })
  },
)
