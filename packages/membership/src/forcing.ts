import { wellFormed } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, ForcedRecord } from './document.ts'
import { historyFrom } from './history.ts'
import { EPOCHS_PER_FORCE, MAX_FORCED } from './limits.ts'
import { markDown, markUp } from './member-edits.ts'
import type { Edit } from './proposal.ts'
import { allow, memberOf } from './refusal.ts'
import { isMajority, votersOf } from './voters.ts'

const MAX_REASON_CHARACTERS = 1000

/**
 * The document after an edit that no majority decided. The missing members are marked down unless the edit has taken
 * them out, so that those who are left can decide what follows. The epoch goes beyond all that the missing ones may
 * decide.
 *
 * @throws `ATOLL_CHANGE_REFUSED` if a majority of the voters is left: then a proposal is the way, unless the cluster
 * has forked.
 */
export function forcedDocument(
  before: ClusterDocument,
  edit: Edit,
  { isForked = false, ...record }: Omit<ForcedRecord, 'epoch'> & { readonly isForked?: boolean },
): ClusterDocument {
  const { by, missing } = record
  const what = `force a change from ${by}`
  for (const node of missing) memberOf(before, node, what)
  allow(!missing.includes(by), what, 'it is missing itself')
  const voters = votersOf(before)
  const left = voters.filter((node) => !missing.includes(node))
  allow(isForked || !isMajority(left.length, voters.length), what, majorityLeft(left, voters))
  const edited = missing.reduce(withoutMissing, backUp(edit(before), by))
  const epoch = (Math.floor(before.epoch / EPOCHS_PER_FORCE) + 1) * EPOCHS_PER_FORCE + 1
  const reason = wellFormed(record.reason.slice(0, MAX_REASON_CHARACTERS))
  const forced = [...before.forced, { ...record, epoch, reason }].slice(-MAX_FORCED)
  // What was decided before is settled by this, whatever it was.
  const history = edited.history && historyFrom(epoch)
  return { ...edited, epoch, forced, history }
}

function majorityLeft(left: readonly NodeName[], voters: readonly NodeName[]): string {
  const most = `${left.join(', ')} are a majority of the voters ${voters.join(', ')}: stage, plan and commit it`
  const copies = 'name a voter as missing, too, if it cannot vote because its data is an older copy'
  return `${most}; ${copies}, which such a refusal of the change says. It is taken in again by itself`
}

/** Whoever decides is not down. */
function backUp(document: ClusterDocument, by: NodeName): ClusterDocument {
  return document.members.get(by)?.state === 'down' ? markUp(document, by) : document
}

function withoutMissing(document: ClusterDocument, node: NodeName): ClusterDocument {
  const state = document.members.get(node)?.state
  return state === 'valid' || state === 'leaving' ? markDown(document, node) : document
}
