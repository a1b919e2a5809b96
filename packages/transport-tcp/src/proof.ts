import { createHmac, timingSafeEqual } from 'node:crypto'
import { EMPTY_BYTES, encodeTuple } from '@atoll/core'
import type { Party } from './protocol.ts'

export const NONCE_BYTES = 32

/** What both sides have said before one of them proves that it knows the secret. */
export interface Transcript {
  readonly version: number
  readonly clientNonce: Uint8Array
  readonly serverNonce: Uint8Array
}

export type Role = 'client' | 'server'

/**
 * HMAC-SHA-256 over the role, both nonces and the name of the one who proves: it is of no use in another conversation, in
 * the other direction or under another name. No bytes without a secret.
 */
export function prove(
  secret: Uint8Array | undefined,
  role: Role,
  claim: Transcript & { readonly party: Party },
): Uint8Array {
  if (secret === undefined) return EMPTY_BYTES
  const { version, clientNonce, serverNonce, party } = claim
  const said = [`atoll ${role}`, version, clientNonce, serverNonce, party.cluster, party.node, party.instance]
  return createHmac('sha256', secret).update(encodeTuple(1, said)).digest()
}

/** Takes the same time wherever the two differ. */
export function proves(mac: Uint8Array, expected: Uint8Array): boolean {
  return mac.length === expected.length && timingSafeEqual(mac, expected)
}
