import {
  AtollError,
  checkInteger,
  checkName,
  describe,
  isName,
  type TupleReader,
  type TupleValue,
  wrongRange,
  wrongType,
} from '@atoll/core'
import { IDENTITY_CAPABILITIES, isAboutIdentity } from './identity.ts'

/** In a message. */
const MAX_CAPABILITIES = 64
/** Of what a node can do. */
const MAX_ABILITIES = MAX_CAPABILITIES - IDENTITY_CAPABILITIES

/** Who knows what other nodes said in their handshakes. */
export interface PeerCapabilities {
  capabilitiesOf(node: string): ReadonlySet<string> | undefined
}

/** Whether a node said in its handshake that it can do this; false while no connection stands with it. */
export function isCapable(peers: PeerCapabilities, node: string, capability: string): boolean {
  return peers.capabilitiesOf(node)?.has(capability) === true
}

/** Throws `TypeError` or `RangeError` for what cannot be told to a peer. */
export function checkCapabilities(capabilities: unknown): void {
  if (!Array.isArray(capabilities))
    throw wrongType('capabilities', `must be a list of names, got ${describe(capabilities)}`)
  checkInteger('capabilities.length', capabilities.length, { min: 0, max: MAX_ABILITIES })
  for (const name of capabilities) {
    if (isAboutIdentity(checkName('a capability', name)))
      throw wrongRange('a capability', `must not begin as an id of a node does, got "${name}"`)
  }
}

/**
 * The last field of a handshake. None is not written: a program from before there were any reads the rest, and what such
 * a program writes is read as none.
 */
export function encodeCapabilities(capabilities: readonly string[]): readonly TupleValue[] {
  return capabilities.length === 0 ? [] : [capabilities]
}

export function decodeCapabilities(reader: TupleReader): readonly string[] {
  if (reader.remaining === 0) return []
  const list = reader.tuple()
  if (list.remaining > MAX_CAPABILITIES) throw corrupt(`${list.remaining} capabilities`)
  return Array.from({ length: list.remaining }, () => {
    const name = list.string()
    if (!isName(name)) throw corrupt(`a capability called ${describe(name)}`)
    return name
  })
}

function corrupt(what: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `a message head cannot be read: it has ${what}`)
}
