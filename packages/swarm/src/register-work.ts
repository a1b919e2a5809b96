import { decodeContext } from '@atoll/causality'
import type { KvWritten } from '@atoll/coordinator'
import { utf8 } from '@atoll/core'
import type { Work } from './client.ts'
import { recordId } from './names.ts'
import { onlyValue, REGISTERS_TYPE, record, registerKeys, type Scene } from './scene.ts'

const write: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(registerKeys(scene.options))
  const value = nextName()
  const id = recordId(REGISTERS_TYPE, key)
  const blind = prng.chance(500)
  await record(scene, scene.registers, {
    intent: { client, kind: 'put', key, value },
    write: async () => {
      const context = blind ? undefined : (await node.kv.get(id)).context
      const written = await node.kv.put(id, { value: utf8(value), context })
      stamp(scene, { key, name: value, value }, written)
      return written
    },
    through: node,
    type: id.type,
  })
}

const erase: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(registerKeys(scene.options))
  await record(scene, scene.registers, {
    intent: { client, kind: 'delete', key },
    run: async () => {
      const written = await node.kv.delete(recordId(REGISTERS_TYPE, key))
      stamp(scene, { key, name: nextName(), value: undefined }, written)
    },
  })
}

const look: Work = async (scene, { name: client, prng }, node) => {
  const key = prng.pick(registerKeys(scene.options))
  await record(scene, scene.registers, {
    intent: { client, kind: 'get', key },
    run: async () => onlyValue(await node.kv.get(recordId(REGISTERS_TYPE, key))),
  })
}

/** The context of an answer covers the write itself, and the record holds no other: its time is that of the write. */
function stamp(
  { stamps }: Scene,
  { key, name, value }: { key: string; name: string; value: string | undefined },
  { context }: KvWritten,
): void {
  if (context !== undefined) stamps.set(name, { key, value, timestampMs: decodeContext(context).timestampMs })
}

export const registerWork: readonly (readonly [number, Work])[] = [
  [3, write],
  [1, erase],
  [2, look],
]
