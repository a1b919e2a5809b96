import type { NodeName } from '@atoll/ring'

export interface UnmetVote {
  readonly voters: readonly NodeName[]
  /** Members that are marked down: they were asked, too, once the voters were too few. */
  readonly reserves: readonly NodeName[]
  /** The node that proposes. */
  readonly node: NodeName
  /** Voters that gave no vote, since their data may be older than what they have voted for. */
  readonly forgetful: readonly NodeName[]
  /** Those of both that did not answer, and why. */
  readonly silent: ReadonlyMap<NodeName, string>
}

/** Why a change could not be decided, and what an operator does about it: which nodes to start, or which ones to name. */
export function describeUnmetVote(vote: UnmetVote): string {
  const { voters, forgetful, silent } = vote
  const few = `fewer than a majority of the voters ${voters.join(', ')} answered`
  const older = `${forgetful.join(', ')} cannot vote yet: the data may be older than what was voted for`
  const why = [...silent].sort().map(([node, reason]) => `${node} did not answer (${reason})`)
  const what = [forgetful.length === 0 ? few : older, ...why].join('; ')
  return `${what}. ${adviceFor(vote)}`
}

/**
 * What is missing is named whole: whoever has no vote would otherwise be counted among those who are left to decide. That is
 * so for a copy that runs, and for a node that has lost its data: nobody can tell that from one that is off.
 */
function adviceFor(vote: UnmetVote): string {
  const { voters, forgetful, silent } = vote
  const absent = [...silent.keys()].sort()
  const start = `Start ${absent.join(', ')} with the data that ${absent.length > 1 ? 'they' : 'it'} had`
  const on = deciderOf(vote)
  if (on === undefined) return `${start}.`
  const missing = voters.filter((voter) => voter !== on && (forgetful.includes(voter) || silent.has(voter)))
  const copies = missing.filter((voter) => forgetful.includes(voter))
  const gone = missing.filter((voter) => silent.has(voter))
  const force = absent.length === 0 ? 'You can force' : `${start}. If too few can be started, force`
  const named = `${force} the change on ${on} with missing: ${missing.join(', ')}`
  const because = [
    ...(copies.length > 0
      ? [`${copies.join(', ')} as well, having no vote; what runs of them is taken in again by itself`]
      : []),
    ...(gone.length > 0 ? ['one that has lost its data then takes its own place by force-replace'] : []),
  ]
  return because.length > 0 ? `${named}: ${because.join('; ')}` : named
}

/** Best is one that remembers, and among these the node that proposes; one that is marked down is there for nothing else. */
function deciderOf({ voters, reserves, node, forgetful, silent }: UnmetVote): NodeName | undefined {
  const able = voters.filter((voter) => !forgetful.includes(voter) && !silent.has(voter))
  const own = reserves.includes(node) ? [node] : []
  const candidates = [able, forgetful, own].find((some) => some.length > 0) ?? []
  return candidates.includes(node) ? node : candidates[0]
}
