import { isAtollError, messageOf, type Runtime } from '@atoll/core'
import type { Membership } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import type { RpcEndpoint } from '@atoll/transport'
import { documentMethod } from './control-methods.ts'

export interface LookAroundParts {
  readonly node: NodeName
  readonly membership: Membership
  readonly endpoint: Pick<RpcEndpoint, 'call'>
}

const TIMEOUT_MS = 500

/**
 * Asks all other members of the document for theirs, and takes the newest. Data that was put back from a copy is told
 * from data that was only stopped by what any of them knows. Resolves when all have answered, or cannot, or the time is
 * over.
 */
export async function lookAround(
  { log }: Runtime,
  { node, membership, endpoint }: LookAroundParts,
  signal: AbortSignal,
): Promise<void> {
  const members = [...(membership.document?.members.values() ?? [])]
  const others = members.filter((member) => member.node !== node && member.state !== 'down')
  const ask = async (other: NodeName) => {
    try {
      const bytes = await endpoint.call(other, documentMethod, null, { timeoutMs: TIMEOUT_MS, signal })
      if (bytes.length > 0) await membership.learn(bytes)
    } catch (error) {
      if (!isAtollError(error)) throw error
      log.debug({ node, peer: other, why: messageOf(error) }, 'a member does not tell its document')
    }
  }
  await Promise.all(others.map((other) => ask(other.node)))
}
