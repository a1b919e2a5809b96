import type { Violation } from '@atoll/sim'
import { leftOfBefore } from './older-rows.ts'
import type { Scene } from './scene.ts'

/** What a build before has left is in the form of this build in the end, and the database says so. */
export async function checkConverted({
  cluster,
  world,
}: Pick<Scene, 'cluster' | 'world'>): Promise<readonly Violation[]> {
  const violations: Violation[] = []
  for (const { name, vnodes } of cluster.nodes) {
    await vnodes.converted
    for (const what of leftOfBefore(world.disk(name).copy().entries))
      violations.push({ rule: 'not-converted', key: name, message: `has ${what}` })
  }
  return violations
}
