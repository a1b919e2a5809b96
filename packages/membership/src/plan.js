import { toHex } from '@atoll/core'
import { violationsOf } from '@atoll/ring'
import { sha1 } from '@noble/hashes/legacy.js'
import { encodeBasis } from './codec.js'
import { outcomeOf } from './outcome.js'
import { chooseTarget, consequencesOf } from './target.js'
/**
 * What a commit of the staged changes would do: a function of the document, the same on every node.
 *
 * @throws `ATOLL_CHANGE_REFUSED` if no node would be left to hold partitions.
 */
export function planOf(document, options = {}) {
  const outcome = outcomeOf(document)
  const target = chooseTarget(document, outcome)
  const { ring, layout, created, leastCopies } = consequencesOf(document, outcome, target.owners)
  return {
    ...target,
    epoch: document.epoch,
    basis: basisOf(document),
    changes: document.staged,
    members: outcome.members,
    transfers: layout.moves.map((move) => ({ ...move, bytes: options.bytesOf?.(move.partition) })),
    moved: created.filter(({ kind }) => kind !== 'drop').length,
    leastMoves: leastCopies,
    lost: layout.lost,
    violations: violationsOf(ring, document.n),
  }
}
/** Digest of all that a plan depends on, in hexadecimal. */
export function basisOf(document) {
  return toHex(sha1(encodeBasis(document)))
}
//# sourceMappingURL=plan.js.map
