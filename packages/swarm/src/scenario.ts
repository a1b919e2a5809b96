import { fromHex, messageOf, utf8 } from '@atoll/core'
import type { Scenario, Violation, World } from '@atoll/sim'
import { type Bug, NO_BUG } from './bugs.ts'
import { namesToCome, planChanges } from './change-plan.ts'
import { checkConverted } from './check-converted.ts'
import { checkCounts } from './check-counts.ts'
import { clearAway } from './clearance.ts'
import { damageOf } from './damage.ts'
import { readFinals } from './finals.ts'
import { handsOn } from './hands.ts'
import { buildHouse } from './house.ts'
import { convergence } from './liveness.ts'
import { BUCKET } from './names.ts'
import { Operator } from './operator.ts'
import { DRAWS, drawsWith, type HouseOptions } from './options.ts'
import { readOwnBuckets } from './own-finals.ts'
import { BrokenPromises, brokenPromises } from './promises.ts'
import { drawFaults, rage } from './safety.ts'
import { newScene, type Scene } from './scene.ts'
import { drawsOfTheme } from './themes.ts'

const MAX_VIRTUAL_MS = 600_000

/**
 * The whole house under one seed, sound or with a bug; kinds of faults and changes that are asked for happen in every
 * run.
 */
export function houseScenario(bug: Bug = NO_BUG, kinds: readonly string[] = []): Scenario<HouseOptions> {
  return {
    draws: kinds.length === 0 ? DRAWS : drawsWith(kinds),
    instead: drawsOfTheme,
    world: ({ timerSlackMs, torn }) => ({ timerSlackMs, disk: { tornByFailure: torn } }),
    limits: { maxVirtualMs: MAX_VIRTUAL_MS },
    run: (world, options) => run(world, options, bug),
  }
}

/** Replicas keep both writes that were given one dot, so that nobody may see it: but no dot is given twice. */
function checkDots({ marks }: World): readonly Violation[] {
  const times = marks.get('vnode.dot-given-twice') ?? 0
  return times === 0 ? [] : [{ rule: 'dot-given-twice', key: '', message: `replicas met it ${times} times` }]
}

async function run(world: World, options: HouseOptions, bug: Bug): Promise<void> {
  const house = await buildHouse(world, options, bug)
  await using _cluster = house.cluster
  try {
    const { id } = await house.cluster.node(1).objects.createBucket(BUCKET)
    const place = id === undefined ? utf8(BUCKET) : fromHex(id)
    await play(newScene(world, house, { options, place }))
  } catch (error) {
    // What was broken before tells more than what came of it.
    const seen = [...house.watch.violations, ...house.builds.violations]
    if (error instanceof BrokenPromises || seen.length === 0) throw error
    throw new BrokenPromises([...seen, { rule: 'failed', key: '', message: messageOf(error) }])
  }
}

async function play(scene: Scene): Promise<void> {
  const { world, options } = scene
  const changes = planChanges(world.prng.fork('changes'), options)
  const faults = drawFaults(scene, namesToCome(options, changes))
  const damaged = damageOf(faults, []).nodes
  const nodes = handsOn(scene, damaged)
  const operator = new Operator(scene, { nodes, damaged }, changes)
  await rage(scene, { faults, operator, nodes })
  // Where nodes begin as those of the build before, the operator upgrades them at the end if not earlier.
  const upgrades = options.changes.upgrade === undefined ? [] : [{ kind: 'upgrade' as const }]
  const damage = damageOf(faults, [...changes, ...upgrades])
  const healing = { operator, isNoted: damage.noted && !options.blackout }
  const { ids, violations: undelivered } = await convergence(scene, healing)
  const finals = await readFinals(scene, ids)
  const left = options.clearance ? await clearAway(scene, ids) : []
  const own = await readOwnBuckets(scene)
  const broken = brokenPromises(scene, { ...finals, own }, damage)
  const stored = [...(await checkConverted(scene)), ...(await checkCounts(scene))]
  const violations = [...undelivered, ...broken, ...left, ...stored, ...checkDots(world)]
  if (violations.length > 0) throw new BrokenPromises(violations)
}
