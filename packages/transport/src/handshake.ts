import { AtollError, describe, isName } from '@atoll/core'
import { type Hello, PROTOCOL_VERSIONS, type Welcome } from './protocol.ts'

/** The detail `reason` of the refusal of a caller that has the name of who was called. */
export const OWN_NAME = 'own-name'

/** Who takes part in a conversation. */
export interface Party {
  readonly node: string
  readonly clusterName: string
}

/** Who is called: an address, behind which any node may be, has no name. */
export type Called = Omit<Party, 'node'> & { readonly node: string | undefined }

/**
 * The version that both sides know best. An `ATOLL_PROTOCOL` error says why there is none or who is at the wrong door, an
 * `ATOLL_UNAUTHORIZED` one that the transport has `proven` another name than the one said.
 */
export function judgeHello(own: Party, hello: Hello, proven?: string): number | AtollError {
  if (!isName(hello.node)) return nameless(hello.node)
  if (proven !== undefined && hello.node !== proven) return impostor(hello.node, proven)
  if (hello.clusterName !== own.clusterName)
    return refusal(`${own.node} belongs to another cluster than ${hello.node}`)
  if (hello.node === own.node) return itself(own.node)
  const version = Math.min(hello.maxVersion, PROTOCOL_VERSIONS.max)
  if (version >= hello.minVersion && version >= PROTOCOL_VERSIONS.min) return version
  const [theirs, ours] = [
    `${hello.minVersion}-${hello.maxVersion}`,
    `${PROTOCOL_VERSIONS.min}-${PROTOCOL_VERSIONS.max}`,
  ]
  return refusal(`${hello.node} speaks protocol versions ${theirs}, ${own.node} speaks ${ours}`)
}

/** What is wrong with the answer to a hello. */
export function judgeWelcome(called: Called, welcome: Welcome, proven?: string): AtollError | undefined {
  if (!isName(welcome.node)) return nameless(welcome.node)
  if (proven !== undefined && welcome.node !== proven) return impostor(welcome.node, proven)
  if (welcome.clusterName !== called.clusterName) return refusal(`${welcome.node} belongs to another cluster`)
  if (called.node !== undefined && welcome.node !== called.node)
    return refusal(`${called.node} was called, and ${welcome.node} answered`)
  const { version } = welcome
  if (version >= PROTOCOL_VERSIONS.min && version <= PROTOCOL_VERSIONS.max) return undefined
  return refusal(`${welcome.node} chose protocol version ${version}, which was not offered`)
}

/** Checked before anything else: the name stands in errors, logs and tables from here on. */
function nameless(name: string): AtollError {
  return refusal(`a peer calls itself ${describe(name)}, which is no name of a node`)
}

function impostor(said: string, proven: string): AtollError {
  return new AtollError('ATOLL_UNAUTHORIZED', `${proven} calls itself ${said}`)
}

/** The detail tells it to a caller that only knew an address. */
function itself(node: string): AtollError {
  const details = { reason: OWN_NAME }
  return new AtollError('ATOLL_PROTOCOL', `${node} was called by a node of its own name`, { details })
}

function refusal(message: string): AtollError {
  return new AtollError('ATOLL_PROTOCOL', message)
}
