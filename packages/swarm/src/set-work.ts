import { utf8 } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { Work } from './client.ts'
import { recordId } from './names.ts'
import { elementsOf, record, type Scene, SETS_TYPE, setKeys } from './scene.ts'

/** Makes a write nearly as large as it may be. */
function padding({ options }: Scene): ReadonlyMap<string, string> {
  const { recordBytes } = options
  return recordBytes === 0 ? new Map() : new Map([['padding', 'x'.repeat(Math.floor(recordBytes * 0.7))]])
}

/** Beside another one of that size there is no room for a sibling. */
const mayBeTooLarge = ({ options }: Scene) => options.recordBytes > 0

/** Adds without having looked: the element stands as a sibling beside whatever is there. */
export async function addTo(
  scene: Scene,
  add: { client: string; key: string; value: string; node: AtollNode },
): Promise<void> {
  const { client, key, value, node } = add
  await record(scene, scene.sets, {
    intent: { client, kind: 'add', key, value },
    write: () => node.kv.put(recordId(SETS_TYPE, key), { value: utf8(value), metadata: padding(scene) }),
    mayFail: mayBeTooLarge(scene),
    through: node,
    type: SETS_TYPE,
  })
}

const addBlind: Work = (scene, { name: client, prng, nextName }, node) =>
  addTo(scene, { client, key: prng.pick(setKeys(scene.options)), value: nextName(), node })

/** Reads, adds to what was seen, and replaces it: joins siblings, and must take no other with it. */
const addSeen: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(setKeys(scene.options))
  const value = nextName()
  const id = recordId(SETS_TYPE, key)
  await record(scene, scene.sets, {
    intent: { client, kind: 'add', key, value },
    write: async () => {
      const seen = await node.kv.get(id)
      const all = [...elementsOf(seen), value].join(' ')
      return node.kv.put(id, { value: utf8(all), context: seen.context, metadata: padding(scene) })
    },
    mayFail: mayBeTooLarge(scene),
    through: node,
    type: SETS_TYPE,
  })
}

export async function lookAtSet(
  scene: Scene,
  look: { client: string; key: string; node: AtollNode },
): Promise<void> {
  const { client, key, node } = look
  await record(scene, scene.sets, {
    intent: { client, kind: 'get', key },
    run: async () => elementsOf(await node.kv.get(recordId(SETS_TYPE, key))).join(' '),
  })
}

const look: Work = (scene, { name: client, prng }, node) =>
  lookAtSet(scene, { client, key: prng.pick(setKeys(scene.options)), node })

export const setWork: readonly (readonly [number, Work])[] = [
  [3, addBlind],
  [3, addSeen],
  [2, look],
]
