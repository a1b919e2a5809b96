import type { Outcome, Violation } from '@atoll/sim'

/** What is put first, what is put while the bucket is deleted, and what is put into the next one of the name. */
export const [FIRST, LATE, NEXT] = ['pearl', 'late', 'coral'] as const

/** A bucket of a client's own, and what came of what the client did with it, one step after the other. */
export interface OwnBucket {
  readonly name: string
  /** Of the buckets of that name, one after the other; undefined for one that a build before has made. */
  readonly ids: (string | undefined)[]
  /** Of the steps that were begun. */
  readonly steps: Map<string, Outcome>
  /** The put that nobody waited for. */
  late: LatePut | undefined
}

export interface LatePut {
  outcome: Outcome
  /** Whether it is known to go into the first of the buckets. */
  isPlaced: boolean
}

/** What is there in the end. */
export interface OwnFinal {
  /** Whether the bucket is in the list of buckets, and its id. */
  readonly isListed: boolean
  readonly id: string | undefined
  /** The objects that a listing names; undefined if it is told that there is no bucket. */
  readonly listed: readonly string[] | undefined
  /** The objects that can be read to their ends. */
  readonly read: readonly string[]
}

/**
 * What was acknowledged is there in the end, and what was deleted is not. Where majorities need not meet, a deletion and
 * what came after it may have missed what was before: there only what nobody may have deleted has to be there.
 */
export function checkOwnBucket(own: OwnBucket, final: OwnFinal, meet: boolean): Violation[] {
  const { listed, read, isListed } = final
  const shown = listed ?? []
  const messages: string[] = []
  if (isListed !== (listed !== undefined))
    messages.push(`it is ${isListed ? '' : 'not '}in the list of buckets, and a listing of it says otherwise`)
  const named = isListed || listed !== undefined
  if (mustBeThere(own, meet) && !named) messages.push('it was made, and is not there')
  if (mustBeGone(own, final, meet) && named) messages.push('it was deleted, and is there')
  const missing = demanded(own, meet).filter((key) => !shown.includes(key))
  if (missing.length > 0) messages.push(`${missing.join()} was put, and is not there`)
  const wrong = shown.filter((key) => !mayBeThere(own, final, { key, meet }))
  if (wrong.length > 0) messages.push(`${wrong.join()} is there, and must not be`)
  const lost = shown.filter((key) => !read.includes(key))
  if (lost.length > 0) messages.push(`${lost.join()} is listed, and cannot be read`)
  const hidden = read.filter((key) => !shown.includes(key))
  if (hidden.length > 0) messages.push(`${hidden.join()} can be read, and is not listed`)
  return messages.map((message) => ({ rule: 'bucket', key: own.name, message: `in the end ${message}` }))
}

function mustBeThere(own: OwnBucket, meet: boolean): boolean {
  const { steps } = own
  return (steps.get('create') === 'ok' && !mayBeDeleted(own)) || (meet && steps.get('create again') === 'ok')
}

function mustBeGone({ steps, ids }: OwnBucket, { id }: OwnFinal, meet: boolean): boolean {
  if (!meet || steps.get('delete') !== 'ok') return false
  return !mayBeDone(steps.get('create again')) || (id !== undefined && id === ids[0])
}

function demanded(own: OwnBucket, meet: boolean): readonly string[] {
  const { steps, late } = own
  const isKept = !mayBeDeleted(own)
  const isFirst = steps.get('put') === 'ok' && isKept && !mayBeDone(steps.get('delete of the object'))
  const isNext = steps.get('put again') === 'ok' && meet
  return [
    ...(isFirst ? [FIRST] : []),
    ...(late?.outcome === 'ok' && isKept ? [LATE] : []),
    ...(isNext ? [NEXT] : []),
  ]
}

function mayBeThere(
  { ids, steps, late }: OwnBucket,
  { id }: OwnFinal,
  { key, meet }: { readonly key: string; readonly meet: boolean },
): boolean {
  // What it holds is filed by the id: nothing of the one before can be in the next one.
  const isNext = ids[0] !== undefined && id !== undefined && id !== ids[0]
  if (key === FIRST) {
    const isDeleted = meet && steps.get('delete of the object') === 'ok'
    return mayBeDone(steps.get('put')) && !isNext && !isDeleted
  }
  if (key === LATE) return mayBeDone(late?.outcome) && !(isNext && late?.isPlaced)
  return key === NEXT && mayBeDone(steps.get('put again'))
}

/** The first deletion is to be refused, for there is something in it. */
function mayBeDeleted({ steps }: OwnBucket): boolean {
  return steps.get('delete of a full one') === 'unknown' || mayBeDone(steps.get('delete'))
}

function mayBeDone(outcome: Outcome | undefined): boolean {
  return outcome === 'ok' || outcome === 'unknown'
}
