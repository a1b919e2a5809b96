import { assert } from '@atoll/core'
import {
  checkConvergence,
  checkListing,
  checkReads,
  checkSets,
  checkWrites,
  describeOperation,
  type Violation,
  type WriteOrder,
} from '@atoll/sim'
import { checkAbsence, checkBucketThere, checkListed } from './check-absence.ts'
import { checkOwnBucket, type OwnFinal } from './check-buckets.ts'
import { asListings, checkFolders } from './check-folders.ts'
import { absencesOf, checkFreshness, checkSetFreshness } from './check-freshness.ts'
import { checkRegisterFreshness, checkRegisters } from './check-registers.ts'
import type { Damage } from './damage.ts'
import type { Finals } from './finals.ts'
import { newestDocument, objectKeys, type Scene } from './scene.ts'

const MAX_SHOWN = 10

/** Promises of Atoll that a run saw broken. */
export class BrokenPromises extends Error {
  override readonly name = 'BrokenPromises'
  readonly violations: readonly Violation[]

  constructor(violations: readonly Violation[]) {
    const shown = violations.slice(0, MAX_SHOWN).map(({ rule, key, message }) => `${rule} ${key}: ${message}`)
    super([`broken promises: ${violations.length}`, ...shown].join('\n  '))
    this.violations = violations
  }
}

/** Everything that Atoll promises, held against what the clients saw and what is there in the end. */
export function brokenPromises(
  scene: Scene,
  finals: Finals & { readonly own: readonly OwnFinal[] },
  damage: Damage,
): readonly Violation[] {
  const { objects, sets, registers, stamps, options, complaints, watch, confirmed } = scene
  // Majorities of primaries meet, unless one of them lost its memory or fallbacks stood in.
  const meet = damage.onlyCopies && !damage.forced && !(options.sloppy && damage.apart)
  const order: WriteOrder = { mayMiss: () => !meet }
  const { operations } = objects
  const keys = objectKeys(options)
  const listings = absencesOf(asListings(operations, keys), keys)
  const looks = [...operations, ...listings, ...scene.denials]
  return [
    ...complaints.map((message) => ({ rule: 'never', key: '', message })),
    ...watch.violations,
    ...scene.builds.violations,
    ...checkCopies(scene, damage),
    ...[...finals.unreadable].map(([key, message]) => ({ rule: 'unreadable', key, message })),
    ...checkWrites(operations, finals.objects, order),
    ...checkReads(operations),
    ...checkListing(operations, { listed: finals.listed, finals: finals.objects }, order),
    ...checkAllListed(finals),
    ...checkSets(sets.operations, finals.sets),
    ...checkRegisters({
      operations: registers.operations,
      stamps,
      finals: finals.registers,
      skewed: damage.skewed,
    }),
    ...checkReads(registers.operations),
    ...checkListed(operations),
    ...checkFolders(operations, keys),
    ...checkCorrupt(scene, damage),
    ...checkSound(scene, damage),
    ...(damage.forced ? [] : checkBucketThere(scene.saidNoBucket)),
    ...[looks, sets.operations, [...registers.operations, ...scene.denials]].flatMap((all) =>
      damage.forced ? [] : checkAbsence({ operations: all, confirmed, skewed: damage.skewed }),
    ),
    ...(meet ? scene.bucketWords : []),
    ...(damage.forced ? [] : checkOwnBuckets(scene, finals.own, meet)),
    ...(meet ? checkFreshness(looks) : []),
    ...(meet ? checkSetFreshness(sets.operations) : []),
    ...(meet && !damage.skewed ? checkRegisterFreshness(stamps) : []),
    ...checkConvergence(finals.replicas),
  ]
}

function checkOwnBuckets({ ownBuckets }: Scene, finals: readonly OwnFinal[], meet: boolean): Violation[] {
  return ownBuckets.flatMap((own, at) => {
    const final = finals[at]
    assert(final !== undefined, 'every bucket of a client was looked at in the end')
    return checkOwnBucket(own, final, meet)
  })
}

/** Where no disk is damaged nothing can be found damaged or lost, whoever is out of reach. */
function checkCorrupt({ saidCorrupt, options }: Scene, { any, lapsed }: Damage): Violation[] {
  // Of a version that was replaced, blocks go when the leeway is over, under the hands of who reads it for longer than that.
  if (any || (lapsed && options.collecting)) return []
  return saidCorrupt.map((operation) => ({
    rule: 'false-corrupt',
    key: operation.key,
    message: `${describeOperation(operation)} was told that something is damaged or lost`,
  }))
}

/** What a replica passes by when it finds that something on its disk is damaged. */
const FOUND_DAMAGED = ['vnode.corrupt-record', 'vnode.corrupt-index-entry']

/** Where no disk is damaged no replica finds anything damaged, whether a client hears of it or others put it right. */
function checkSound({ world }: Scene, { any }: Damage): Violation[] {
  if (any) return []
  return FOUND_DAMAGED.flatMap((mark) => {
    const count = world.marks.get(mark) ?? 0
    const message = `${count} times, with sound disks`
    return count === 0 ? [] : [{ rule: 'found-damaged', key: mark, message }]
  })
}

/** Plans tell how many copies they make. Nodes that were lost, and got theirs again, are in no plan of the operator's. */
function checkCopies(scene: Scene, { any }: Damage): Violation[] {
  const { watch, allowance } = scene
  const allowed = allowance.copies + allowance.widenings * newestDocument(scene.cluster).ring.partitions
  if (any || watch.gained <= allowed) return []
  const message = `${watch.gained} copies were made, and plans said ${allowed}`
  return [{ rule: 'too-many-copies', key: '', message }]
}

function checkAllListed({ objects, listed }: Finals): Violation[] {
  return [...objects].flatMap(([key, value]) => {
    if (value === undefined || listed.includes(key)) return []
    return [{ rule: 'listing', key, message: `it holds ${value}, and is not listed` }]
  })
}
