import type { Hands } from './copies.ts'
import type { Scene } from './scene.ts'

/** Between two nodes, at most. */
const PAUSE_MS = 500

/** One node after the other is stopped, or loses its power, and is started as one of this build. */
export async function upgradeAll(scene: Scene, hands: Hands): Promise<void> {
  const { world, builds, cluster } = scene
  const { clock } = world.runtime('operator')
  for (const name of hands.prng.sample([...builds.older], builds.older.size)) {
    // Whoever has taken its power starts it again, as what is new.
    if (!cluster.names.includes(name) || !cluster.isRunning(name)) builds.upgrade(name)
    else await upgrade(scene, name, hands)
    await clock.sleep(hands.prng.between(0, PAUSE_MS))
  }
}

async function upgrade(
  { world, builds, grounded }: Scene,
  name: string,
  { nodes, prng }: Hands,
): Promise<void> {
  // Nobody starts it meanwhile, as what it was.
  grounded.add(name)
  try {
    if (prng.chance(700)) await nodes.stop(name)
    else await nodes.crash(name)
    builds.upgrade(name)
  } finally {
    grounded.delete(name)
  }
  world.note(`operator starts ${name} as a node of this build`)
  world.runtime('operator').probe.mark('change.upgrade node')
  await nodes.restart(name)
}
