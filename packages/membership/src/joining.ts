import { AtollError, isAtollError, type Runtime, withDefinite } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import type { RpcEndpoint } from '@atoll/transport'
import type { Ledger } from './ledger.ts'
import { joinMethod } from './methods.ts'
import type { JoinRequest } from './protocol.ts'

export interface JoiningParts {
  readonly endpoint: Pick<RpcEndpoint, 'call'>
  readonly ledger: Ledger
}

const PAUSE_MS = 500
/** The member that is asked has to get a document decided before it answers, perhaps against others that join. */
const ASK_TIMEOUT_MS = 5000

/**
 * Asks members, one after the other and again, to stage a join, until one of them answers with a document in which this
 * node is. Throws the refusal of the first that refuses for good, or the last failure when the time is over.
 */
export async function joinThrough(
  runtime: Runtime,
  parts: JoiningParts,
  join: { readonly seeds: readonly NodeName[]; readonly request: JoinRequest; readonly signal: AbortSignal },
): Promise<void> {
  const { signal } = join
  let failure = new AtollError('ATOLL_UNREACHABLE', 'no member was asked')
  while (!signal.aborted) {
    for (const seed of join.seeds) {
      const problem = await ask(parts, seed, join)
      if (problem === undefined) return
      if (problem.definite && !problem.transient) throw problem
      failure = problem
      if (signal.aborted) throw failure
    }
    await runtime.clock.sleep(1 + runtime.random.below(PAUSE_MS), { signal }).catch(() => {})
  }
  throw failure
}

async function ask(
  { endpoint, ledger }: JoiningParts,
  seed: NodeName,
  { request, signal }: { readonly request: JoinRequest; readonly signal: AbortSignal },
): Promise<AtollError | undefined> {
  try {
    const { bytes } = await endpoint.call(seed, joinMethod, request, {
      timeoutMs: ASK_TIMEOUT_MS,
      signal,
    })
    return await learned(ledger, bytes)
  } catch (error) {
    if (isAtollError(error)) return error
    throw error
  }
}

/** A document that arrived damaged refuses nothing: the join is staged, and the next answer may be whole. */
async function learned(ledger: Ledger, bytes: Uint8Array): Promise<AtollError | undefined> {
  try {
    await ledger.learn(bytes)
    return undefined
  } catch (error) {
    if (isAtollError(error, 'ATOLL_CORRUPT')) return withDefinite(error, false)
    throw error
  }
}
