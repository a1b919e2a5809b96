import { AtollError, fromHex, toHex } from '@atoll/core'
import type { ActorId, VersionVector } from './record.ts'
import { sortedEntries } from './version-vector.ts'

const ACTOR_BYTES = 8
const ACTOR_DIGITS = 2 * ACTOR_BYTES

/** A vector in two fields: its actors side by side, 8 bytes each and ascending, and their counters. */
export interface PackedVector {
  readonly actors: Uint8Array
  readonly counters: readonly number[]
}

/** Of actors that write now, of which there are as many as vnodes. Nobody changes these bytes. */
let recent = new Map<ActorId, Uint8Array>()
const MAX_RECENT = 4096

function actorBytes(actor: ActorId): Uint8Array {
  const known = recent.get(actor)
  if (known !== undefined) return known
  const bytes = fromHex(actor)
  if (recent.size >= MAX_RECENT) recent = new Map()
  recent.set(actor, bytes)
  return bytes
}

export function packVector(vector: VersionVector): PackedVector {
  // Most records have one writer.
  if (vector.size === 1)
    for (const [actor, counter] of vector) return { actors: actorBytes(actor), counters: [counter] }
  const entries = sortedEntries(vector)
  return {
    actors: fromHex(entries.map(([actor]) => actor).join('')),
    counters: entries.map(([, counter]) => counter),
  }
}

/** Throws `ATOLL_CORRUPT` if the two do not belong together. `name` is what the whole is called in errors. */
export function unpackVector(name: string, { actors, counters }: PackedVector): VersionVector {
  if (actors.length !== counters.length * ACTOR_BYTES) throw damaged(name, 'actors and counters differ')
  const vector = new Map<ActorId, number>()
  const digits = toHex(actors)
  let last = ''
  for (let at = 0; at < counters.length; at++) {
    const counter = counters[at] ?? 0
    const actor = digits.slice(at * ACTOR_DIGITS, (at + 1) * ACTOR_DIGITS)
    if (actor <= last || counter === 0) throw damaged(name, `actor ${actor} is out of order`)
    vector.set(actor, counter)
    last = actor
  }
  return vector
}

export function damaged(name: string, why: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `${name} cannot be read: ${why}`)
}
