import { AtollError } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Member } from './document.ts'

/** Throws `ATOLL_CHANGE_REFUSED` unless the condition holds: `what` shall be done, but `why`. */
export function allow(condition: boolean, what: string, why: string): asserts condition {
  if (!condition) throw refused(what, why)
}

export function refused(what: string, why: string, details?: AtollError['details']): AtollError {
  return new AtollError('ATOLL_CHANGE_REFUSED', `cannot ${what}: ${why}`, details && { details })
}

/** The member of that name; throws `ATOLL_CHANGE_REFUSED` if there is none. */
export function memberOf(document: ClusterDocument, node: NodeName, what: string): Member {
  const member = document.members.get(node)
  if (member === undefined) throw refused(what, `${node} is no member`)
  return member
}
