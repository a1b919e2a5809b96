import type { Sibling, StoredRecord } from '@atoll/causality'
import { EMPTY_BYTES } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import type { PutPlan } from '../src/put-machine.ts'

/** A preference list: "ppf" is two primaries and a fallback, on nodes n0, n1, n2. */
export function targets(roles: string): PreferenceEntry[] {
  return [...roles].map((role, at) => ({
    partition: at,
    node: `n${at}`,
    role: role === 'p' ? 'primary' : 'fallback',
    epoch: 0,
  }))
}

/** The first of these nodes that was not tried. */
export function sparesAmong(...nodes: string[]): PutPlan['spareFor'] {
  return (lost, { tried }) => {
    const node = nodes.find((spare) => !tried.has(spare))
    return node === undefined ? undefined : { ...lost, node, role: 'fallback' }
  }
}

/** A record with this clock, and one sibling for the last event of every actor. */
export function record(clock: Readonly<Record<string, number>>): StoredRecord {
  const siblings = Object.entries(clock).map(([actor, counter]): Sibling => {
    const shared = { value: EMPTY_BYTES, metadata: new Map(), tombstone: false, indexes: [], valueCrc32: 0 }
    const writeId = Uint8Array.of(actor.charCodeAt(0), counter)
    return { ...shared, expiresAtMs: undefined, dot: { actor, counter }, timestampMs: counter, writeId }
  })
  return { clock: new Map(Object.entries(clock)), siblings }
}
