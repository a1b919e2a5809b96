import { AtollError, describe, isName } from '@atoll/core'
import { type Hello, PROTOCOL_VERSIONS, type Welcome } from './protocol.ts'

/** Who takes part in a conversation. */
export interface Identity {
  readonly node: string
  readonly clusterId: string
}

/**
 * The version that both sides know best. An `ATOLL_PROTOCOL` error says why there is none or who is at the wrong door, an
 * `ATOLL_UNAUTHORIZED` one that the transport has `proven` another name than the one said.
 */
export function judgeHello(own: Identity, hello: Hello, proven?: string): number | AtollError {
  if (!isName(hello.node)) return nameless(hello.node)
  if (proven !== undefined && hello.node !== proven) return impostor(hello.node, proven)
  if (hello.clusterId !== own.clusterId)
    return refusal(`${own.node} belongs to another cluster than ${hello.node}`)
  if (hello.node === own.node) return refusal(`${own.node} was called by a node of its own name`)
  const version = Math.min(hello.maxVersion, PROTOCOL_VERSIONS.max)
  if (version >= hello.minVersion && version >= PROTOCOL_VERSIONS.min) return version
  const [theirs, ours] = [
    `${hello.minVersion}-${hello.maxVersion}`,
    `${PROTOCOL_VERSIONS.min}-${PROTOCOL_VERSIONS.max}`,
  ]
  return refusal(`${hello.node} speaks protocol versions ${theirs}, ${own.node} speaks ${ours}`)
}

/** What is wrong with the answer to a hello. */
export function judgeWelcome(called: Identity, welcome: Welcome, proven?: string): AtollError | undefined {
  if (!isName(welcome.node)) return nameless(welcome.node)
  if (proven !== undefined && welcome.node !== proven) return impostor(welcome.node, proven)
  if (welcome.clusterId !== called.clusterId) return refusal(`${welcome.node} belongs to another cluster`)
  if (welcome.node !== called.node) return refusal(`${called.node} was called, and ${welcome.node} answered`)
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

function refusal(message: string): AtollError {
  return new AtollError('ATOLL_PROTOCOL', message)
}
