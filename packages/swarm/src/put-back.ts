import type { AtollNode } from '@atoll/node'
import { checkWhole, copyOf, down, generationOf, type Hands, isCatchingUp, until } from './copies.ts'
import { type Scene, setKeys } from './scene.ts'
import { addTo, lookAtSet } from './set-work.ts'

/** Of blind writes of every set, before the copy is put back and after. */
const MOST_ROUNDS = 4

/**
 * One node is put back from a copy of its disk, which the operator says or not: the cluster knows a life of its data
 * that the copy does not know. What it has written since the copy was made, it writes again at once, without a look.
 */
export async function putBack(scene: Scene, name: string, hands: Hands): Promise<void> {
  const { world, cluster } = scene
  const { nodes, prng } = hands
  const isTold = prng.chance(300)
  const rounds = prng.between(1, MOST_ROUNDS)
  const work = busy(scene)
  checkWhole(scene)
  await work.write(cluster.node(name), prng.between(0, rounds))
  const first = generationOf(scene, name)
  const copy = await copyOf(scene, name, hands)
  await until(scene, () => cluster.isRunning(name) && generationOf(scene, name) !== first)
  const second = generationOf(scene, name)
  await work.write(cluster.node(name), rounds)
  checkWhole(scene)
  world.note(`operator puts ${name} back from a copy${isTold ? ', and says so' : ''}`)
  await down(scene, name, async () => {
    if (prng.chance(500)) await nodes.stop(name)
    else await nodes.crash(name)
    world.disk(name).restore(copy)
  })
  await nodes.restart(name, { restored: isTold })
  if (cluster.isRunning(name)) await work.write(cluster.node(name), prng.between(1, rounds))
  await work.look(cluster.nodes)
  await until(scene, () => generationOf(scene, name) !== second && !isCatchingUp(scene, name))
}

/** What the operator's own client does: each time with all sets at once. */
function busy(scene: Scene) {
  const { options } = scene
  const client = 'operator'
  let written = 0
  return {
    write: async (node: AtollNode, rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        const adds = setKeys(options).map((key) =>
          addTo(scene, { client, key, value: `put-back.${++written}`, node }),
        )
        await Promise.all(adds)
      }
    },
    look: async (nodes: readonly AtollNode[]) => {
      const looks = nodes.flatMap((node) =>
        setKeys(options).map((key) => lookAtSet(scene, { client, key, node })),
      )
      await Promise.all(looks)
    },
  }
}
