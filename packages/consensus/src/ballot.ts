/** The number of an attempt. Attempts of one proposer differ by counter, those of two proposers by name. */
export interface Ballot {
  /** From 1. */
  readonly counter: number
  /** Name of the proposer, unique among all that ever propose. */
  readonly proposer: string
}

/** Order of attempts: by counter, then by name. `undefined` comes before every ballot. */
export function compareBallots(a: Ballot | undefined, b: Ballot | undefined): number {
  if (a === undefined || b === undefined) return (a === undefined ? 0 : 1) - (b === undefined ? 0 : 1)
  if (a.counter !== b.counter) return a.counter - b.counter
  return a.proposer === b.proposer ? 0 : a.proposer < b.proposer ? -1 : 1
}

/** The next ballot of `proposer` that is greater than `seen`. */
export function nextBallot(proposer: string, seen: Ballot | undefined): Ballot {
  return { counter: (seen?.counter ?? 0) + 1, proposer }
}
