import { AtollError } from '@atoll/core'
import type { ReplicaTable } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'
import { isRestored } from './generations.ts'
import { goalOf } from './layout.ts'
import { type Outcome, outcomeOf } from './outcome.ts'
import { basisOf, type Plan } from './plan.ts'
import { spacingText } from './plan-text.ts'
import { allow } from './refusal.ts'
import { checkCommitable, dueChanges, resized, resizedTo, withoutRefiling } from './resize.ts'
import { settle } from './settle.ts'
import { type SpacingViolation, spacingViolations } from './spacing.ts'
import { consequencesOf } from './target.ts'
import { numberOfZones, zonesOf } from './zones.ts'

export interface CommitOptions {
  /**
   * Commits even if the first n replicas of some partitions would be in fewer zones than now, although there are n zones.
   * Default false.
   */
  readonly allowViolations?: boolean | undefined
}

/**
 * Does exactly what the plan says: the ring is that of the plan at once, lost nodes are in no list any more, all else
 * begins to move. Nothing is staged afterwards but what the plan says waits. More partitions are there at once, each
 * with the nodes of the one that it was a part of; until all of them have filed their records anew, only what is lost
 * can be replaced.
 *
 * @throws `ATOLL_STALE_PLAN` if what the plan was made from has changed, `ATOLL_CHANGE_REFUSED` if nothing is staged,
 * or for violations that were not allowed.
 */
export function commit(document: ClusterDocument, plan: Plan, options: CommitOptions = {}): ClusterDocument {
  if (plan.basis !== basisOf(document)) {
    const message = `the cluster has changed since the plan of epoch ${plan.epoch}; plan again`
    throw new AtollError('ATOLL_STALE_PLAN', message)
  }
  const what = `commit the plan of epoch ${plan.epoch}`
  allow(document.staged.length > 0, what, 'nothing is staged')
  checkCommitable(document, what)
  const partitions = resizedTo(document)
  if (partitions !== undefined) return resized(document, partitions)
  const due = dueChanges(document)
  const outcome = outcomeOf({ ...document, staged: due })
  checkOwners(document, outcome, plan)
  const { ring, layout } = consequencesOf(document, outcome, plan.owners)
  if (options.allowViolations !== true) checkSpacing(document, outcome, { goal: goalOf(layout), plan })
  const { members, lost } = outcome
  return settle({
    ...[...lost].reduce(withoutRefiling, document),
    epoch: document.epoch + 1,
    members,
    ring,
    replicas: layout.replicas,
    moves: layout.moves,
    refills: document.refills
      // Whose data is lost gets copies of everything.
      .filter((refill) => !isRestored(refill) || !lost.has(refill.node))
      .map((refill) => ({ ...refill, waiting: refill.waiting.filter((node) => !lost.has(node)) })),
    staged: document.staged.filter((change) => !due.includes(change)),
  })
}

function checkOwners(document: ClusterDocument, { claimants }: Outcome, plan: Plan): void {
  const what = `commit the plan of epoch ${plan.epoch}`
  const names = new Set(claimants.map(({ node }) => node))
  const { partitions } = document.ring
  allow(plan.owners.length === partitions, what, `it has ${plan.owners.length} partitions, not ${partitions}`)
  const stranger = plan.owners.find((owner) => !names.has(owner))
  allow(stranger === undefined, what, `${stranger} cannot own partitions`)
}

/**
 * What cannot be helped does not block: fewer nodes or zones than n. Nor does what is no worse than it was.
 */
function checkSpacing(
  document: ClusterDocument,
  { claimants, members }: Outcome,
  { goal, plan }: { readonly goal: ReplicaTable; readonly plan: Plan },
): void {
  const { n } = document
  const planned = spacingViolations(goal, { n, zones: zonesOf(members) })
  const present = spacingViolations(goalOf(document), { n, zones: zonesOf(document.members) })
  const names = claimants.map(({ node }) => node)
  const enough = { node: names.length >= n, zone: numberOfZones(names, zonesOf(members)) >= n }
  for (const kind of ['node', 'zone'] as const) {
    if (!enough[kind] || missing(planned, kind) <= missing(present, kind)) continue
    const why = spacingText(kind, n, { owners: plan.owners, members, violations: planned })
    allow(
      false,
      `commit the plan of epoch ${plan.epoch}`,
      `${why}; commit with allowViolations, or stage other changes`,
    )
  }
}

function missing(violations: readonly SpacingViolation[], kind: SpacingViolation['kind']): number {
  return violations.reduce(
    (sum, { kind: its, wanted, distinct }) => sum + (its === kind ? wanted - distinct : 0),
    0,
  )
}
