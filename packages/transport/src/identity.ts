import { AtollError, checkName, isName } from '@atoll/core'

/** What makes a node itself, whatever its name and address are. Ids are names of up to 59 characters. */
export interface Identity {
  /** Drawn when the cluster was begun; undefined for a node that is of no cluster yet. */
  readonly clusterId: string | undefined
  /** Drawn with the data of the node and kept with it; undefined for a node that has no data yet. */
  readonly memberId: string | undefined
  /** The life of the data, whatever that means to the nodes; undefined if they do not say. */
  readonly generation: string | undefined
  /** Of the newest document that the node has; 0 for none. */
  readonly epoch: number
}

/** Somebody at the other end of a connection. */
export interface Peer {
  readonly node: string
  readonly identity: Identity
  /** `caller` made the connection, `callee` was called by the name. */
  readonly side: 'caller' | 'callee'
}

/** What a peer may ask: a stranger only methods that are open to strangers. */
export type Standing = 'member' | 'stranger'

/** Who this node is, and who the others are to it. */
export interface IdentityPort {
  /** What this node says of itself, asked for every connection. */
  own(): Identity
  /**
   * Called for every peer that says what it is, again after `judgeAnew`. `ATOLL_FORMAT` for one that is not what its
   * name stands for; it is refused, and both sides write that down.
   */
  judge(peer: Peer): Standing | AtollError
}

/** The detail of errors about peers that are not what their names stand for. */
export const WRONG_IDENTITY = { reason: 'identity' } as const

/**
 * An identity travels among the capabilities: of all that is in a handshake, programs before this one look away from nothing
 * else that they do not know.
 */
const PREFIX = 'id.'
const CLUSTER = 'id.c.'
const MEMBER = 'id.m.'
const GENERATION = 'id.g.'
const EPOCH = 'id.e.'
/** As many capabilities as an identity takes. */
export const IDENTITY_CAPABILITIES = 4
const DIGITS = /^\d{1,15}$/

/** Whether a capability says who somebody is, and not what it can do. */
export function isAboutIdentity(capability: string): boolean {
  return capability.startsWith(PREFIX)
}

/** Throws `RangeError` for an id that is too long. */
export function capabilitiesOf(identity: Identity): readonly string[] {
  const { clusterId, memberId, generation, epoch } = identity
  const said: readonly (readonly [string, string | undefined])[] = [
    [CLUSTER, clusterId],
    [MEMBER, memberId],
    [GENERATION, generation],
    [EPOCH, `${epoch}`],
  ]
  return said.flatMap(([prefix, value]) =>
    value === undefined ? [] : [checkName('an id of a node', `${prefix}${value}`)],
  )
}

/** What a peer says of itself; undefined for a program from before there were identities. Throws `ATOLL_CORRUPT`. */
export function identityIn(capabilities: readonly string[]): Identity | undefined {
  const epoch = saidOnce(capabilities, EPOCH)
  if (epoch === undefined) return undefined
  if (!DIGITS.test(epoch)) throw corrupt(`the epoch ${epoch}`)
  return {
    clusterId: saidOnce(capabilities, CLUSTER),
    memberId: saidOnce(capabilities, MEMBER),
    generation: saidOnce(capabilities, GENERATION),
    epoch: Number(epoch),
  }
}

function saidOnce(capabilities: readonly string[], prefix: string): string | undefined {
  const [said, again] = capabilities.filter((capability) => capability.startsWith(prefix))
  if (again !== undefined) throw corrupt(`two ids of one kind, ${said} and ${again}`)
  const value = said?.slice(prefix.length)
  if (value !== undefined && !isName(value)) throw corrupt(`the id ${said}`)
  return value
}

function corrupt(what: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `a message head cannot be read: it has ${what}`)
}
