import type { NodeName } from '@atoll/ring'

export interface UnmetVote {
  readonly voters: readonly NodeName[]
  /** The node that proposes. */
  readonly node: NodeName
  /** Voters that gave no vote, since their data may be older than what they have voted for. */
  readonly forgetful: readonly NodeName[]
  /** Voters that did not answer, and why. */
  readonly silent: ReadonlyMap<NodeName, string>
}

/** Why a change could not be decided, and what an operator does about it: which node to start, or which ones to name. */
export function describeUnmetVote(vote: UnmetVote): string {
  const { voters, forgetful, silent } = vote
  const why = [...silent].sort().map(([node, reason]) => `${node} did not answer (${reason})`)
  if (forgetful.length === 0) {
    const few = `fewer than a majority of the voters ${voters.join(', ')} answered`
    return [few, ...why].join('; ')
  }
  const older = `${forgetful.join(', ')} cannot vote yet: the data may be older than what was voted for`
  return `${[older, ...why].join('; ')}. ${adviceFor(vote)}`
}

/** Whoever has no vote counts as missing, too: it must not be counted among those who are left to decide. */
function adviceFor({ voters, node, forgetful, silent }: UnmetVote): string {
  const able = voters.filter((voter) => !forgetful.includes(voter) && !silent.has(voter))
  const candidates = able.length > 0 ? able : forgetful
  const on = candidates.includes(node) ? node : candidates[0]
  const missing = voters.filter((voter) => voter !== on && !able.includes(voter))
  const copies = missing.filter((voter) => forgetful.includes(voter))
  const absent = [...silent.keys()].sort().join(', ')
  const force = absent === '' ? 'You can force' : `Start ${absent}. If that is not possible, force`
  const named = `${force} the change on ${on} with missing: ${missing.join(', ')}`
  const because = `: ${copies.join(', ')} as well, having no vote; what runs of them is taken in again by itself`
  return `${named}${copies.length > 0 ? because : ''}`
}
