import type { Hands } from './copies.ts'
import type { Scene } from './scene.ts'

/** Between two nodes, at most. */
const PAUSE_MS = 300

/** One node after the other is closed in order, and started again at once, as for a new version of the system below. */
export async function bounceAll(scene: Scene, { nodes, prng }: Hands): Promise<void> {
  const { world, cluster, grounded } = scene
  const { clock } = world.runtime('operator')
  for (const name of prng.sample(cluster.names, cluster.names.length)) {
    if (!cluster.names.includes(name) || !cluster.isRunning(name) || world.isFrozen(name)) continue
    grounded.add(name)
    try {
      world.note(`operator starts ${name} again`)
      await nodes.stop(name)
    } finally {
      grounded.delete(name)
    }
    world.runtime('operator').probe.mark('change.bounce node')
    await nodes.restart(name)
    await clock.sleep(prng.between(0, PAUSE_MS))
  }
}
