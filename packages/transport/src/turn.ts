/** What several callers do in step, such as when one batch of theirs is done, is some promises apart at most. */
const HOPS = 8

/** Resolves when whatever runs at once has run. Nothing waits for it but promises: no time passes. */
export async function turnEnds(): Promise<void> {
  for (let hop = 0; hop < HOPS; hop++) await undefined
}
