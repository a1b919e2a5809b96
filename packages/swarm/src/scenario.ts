import type { Scenario, World } from '@atoll/sim'
import { type Bug, NO_BUG } from './bugs.ts'
import { clearAway } from './clearance.ts'
import { damageOf } from './damage.ts'
import { readFinals } from './finals.ts'
import { buildHouse } from './house.ts'
import { convergence } from './liveness.ts'
import { DRAWS, type HouseOptions } from './options.ts'
import { BrokenPromises, brokenPromises } from './promises.ts'
import { drawFaults, rage } from './safety.ts'
import { BUCKET, newScene } from './scene.ts'

const MAX_VIRTUAL_MS = 600_000

/** The whole house under one seed, sound or with a bug. */
export function houseScenario(bug: Bug = NO_BUG): Scenario<HouseOptions> {
  return {
    draws: DRAWS,
    world: ({ timerSlackMs }) => ({ timerSlackMs }),
    limits: { maxVirtualMs: MAX_VIRTUAL_MS },
    run: (world, options) => run(world, options, bug),
  }
}

async function run(world: World, options: HouseOptions, bug: Bug): Promise<void> {
  await using cluster = await buildHouse(world, options, bug)
  const scene = newScene(world, cluster, options)
  await cluster.node(1).objects.createBucket(BUCKET)
  const plan = drawFaults(scene)
  await rage(scene, plan)
  const { ids, violations: undelivered } = await convergence(scene)
  const finals = await readFinals(scene, ids)
  const left = options.clearance ? await clearAway(scene, ids) : []
  const violations = [...undelivered, ...brokenPromises(scene, finals, damageOf(plan)), ...left]
  if (violations.length > 0) throw new BrokenPromises(violations)
}
