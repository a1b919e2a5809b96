import { concatBytes, equalBytes } from '@atoll/core'
import type { ClusterDocument } from './document.ts'

/** Digests of the documents that came before one, one for each epoch from the first on. */
export interface History {
  /** The epoch of the first digest. */
  readonly first: number
  /** `DIGEST_BYTES` for each epoch, the oldest first. */
  readonly digests: Uint8Array
}

/** A document and the SHA-1 of its bytes. */
export interface Digested {
  readonly document: ClusterDocument
  readonly digest: Uint8Array
}

/** Of the SHA-1: against chance, not against forgers. */
export const DIGEST_BYTES = 8
/** A node that has missed more epochs than these is not held against them. */
export const MAX_HISTORY = 256

/** The history of the document that follows on `before`; undefined as long as none is kept. */
export function historyAfter({ document, digest }: Digested, next: ClusterDocument): History | undefined {
  if (next.history === undefined) return undefined
  const { first, digests } = document.history ?? { first: document.epoch, digests: new Uint8Array(0) }
  const all = concatBytes([digests, digest.subarray(0, DIGEST_BYTES)])
  const dropped = Math.max(0, all.length / DIGEST_BYTES - MAX_HISTORY)
  return { first: first + dropped, digests: all.slice(dropped * DIGEST_BYTES) }
}

/** The history of a document of that epoch that does not follow on another one. */
export function historyFrom(epoch: number): History {
  return { first: epoch, digests: new Uint8Array(0) }
}

/** The document as one from which on a history is kept. All members have to be able to read that. */
export function withHistory(document: ClusterDocument): ClusterDocument {
  return { ...document, history: historyFrom(document.epoch) }
}

/**
 * The first epoch of which two documents tell that it was decided in two ways; undefined if one may follow on the
 * other. Where an operator has forced a decision past the other document, that is what was meant to be. Two that were
 * forced at one epoch are no fork either: the greater bytes count.
 */
export function forkOf(a: Digested, b: Digested): number | undefined {
  const [older, newer] = a.document.epoch <= b.document.epoch ? [a, b] : [b, a]
  const last = older.document.epoch
  const forcedAt = newer.document.forced.at(-1)?.epoch ?? 0
  if (forcedAt > last || (forcedAt === last && newer.document.epoch === last)) return undefined
  for (let epoch = Math.max(firstOf(older), firstOf(newer)); epoch <= last; epoch++) {
    const [one, other] = [digestOf(older, epoch), digestOf(newer, epoch)]
    if (one !== undefined && other !== undefined && !equalBytes(one, other)) return epoch
  }
  return undefined
}

function firstOf({ document }: Digested): number {
  return document.history?.first ?? document.epoch
}

function digestOf({ document, digest }: Digested, epoch: number): Uint8Array | undefined {
  if (epoch === document.epoch) return digest.subarray(0, DIGEST_BYTES)
  const { first, digests } = document.history ?? historyFrom(document.epoch)
  const at = (epoch - first) * DIGEST_BYTES
  return at >= 0 && at < digests.length ? digests.subarray(at, at + DIGEST_BYTES) : undefined
}
