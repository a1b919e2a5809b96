import { AtollError } from '@atoll/core'
/** Throws `ATOLL_CHANGE_REFUSED` unless the condition holds: `what` shall be done, but `why`. */
export function allow(condition, what, why) {
  if (!condition) throw refused(what, why)
}
export function refused(what, why) {
  return new AtollError('ATOLL_CHANGE_REFUSED', `cannot ${what}: ${why}`)
}
/** The member of that name; throws `ATOLL_CHANGE_REFUSED` if there is none. */
export function memberOf(document, node, what) {
  const member = document.members.get(node)
  if (member === undefined) throw refused(what, `${node} is no member`)
  return member
}
//# sourceMappingURL=refusal.js.map
