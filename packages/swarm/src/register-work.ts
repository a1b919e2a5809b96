import { decodeContext } from '@atoll/causality'
import type { KvRead, KvWritten } from '@atoll/coordinator'
import { utf8 } from '@atoll/core'
import type { Operation } from '@atoll/sim'
import type { Work } from './client.ts'
import { recordId } from './names.ts'
import { deny, onlyValue, REGISTERS_TYPE, record, registerKeys, type Scene } from './scene.ts'

const write: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(registerKeys(scene.options))
  const value = nextName()
  const id = recordId(REGISTERS_TYPE, key)
  const blind = prng.chance(500)
  let written: KvWritten | undefined
  const operation = await record(scene, scene.registers, {
    intent: { client, kind: 'put', key, value },
    write: async () => {
      const context = blind ? undefined : (await node.kv.get(id)).context
      written = await node.kv.put(id, { value: utf8(value), context })
      return written
    },
    through: node,
    type: id.type,
  })
  stamp(scene, operation, written)
}

const erase: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(registerKeys(scene.options))
  let written: KvWritten | undefined
  const operation = await record(scene, scene.registers, {
    intent: { client, kind: 'delete', key },
    run: async () => {
      written = await node.kv.delete(recordId(REGISTERS_TYPE, key))
      // It takes a name as a write does, so that what comes after is called as it is in every seed.
      nextName()
    },
  })
  if (written?.accepted === 0) {
    deny(scene, operation)
    scene.stamps.push({ operation: { ...operation, kind: 'get' }, timestampMs: 0 })
  } else stamp(scene, operation, written)
}

const look: Work = async (scene, { name: client, prng }, node) => {
  const key = prng.pick(registerKeys(scene.options))
  let read: KvRead | undefined
  const operation = await record(scene, scene.registers, {
    intent: { client, kind: 'get', key },
    run: async () => {
      read = await node.kv.get(recordId(REGISTERS_TYPE, key))
      return onlyValue(read)
    },
  })
  if (read !== undefined) scene.stamps.push({ operation, timestampMs: timestampOf(read) })
}

/** The context of an answer covers the write itself, and the record holds no other: its time is that of the write. */
function stamp({ stamps }: Scene, operation: Operation, written: KvWritten | undefined): void {
  if (written !== undefined) stamps.push({ operation, timestampMs: timestampOf(written) })
}

/** Of the record: 0 if nobody has one. */
export function timestampOf({ context }: Pick<KvRead, 'context'>): number {
  return context === undefined ? 0 : decodeContext(context).timestampMs
}

export const registerWork: readonly (readonly [number, Work])[] = [
  [3, write],
  [1, erase],
  [2, look],
]
