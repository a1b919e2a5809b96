import { encodeWith, toHex } from '@atoll/core'
import { historyCodec } from '../src/codec.ts'
import { type History, joinHistories, NO_HISTORY } from '../src/history.ts'

/**
 * A record of three primaries as causality keeps it, for a search through all orders of what may happen: small enough to
 * be copied at every step. An event is numbered by its replica.
 */
export interface Replica {
  readonly clock: Clock
  readonly siblings: readonly Sibling[]
}

export type Clock = readonly [number, number, number]

interface Sibling {
  readonly at: number
  readonly event: number
  /** Undefined for a deletion. */
  readonly value: History | undefined
}

export const REPLICAS = [0, 1, 2] as const
export const EMPTY: Replica = { clock: [0, 0, 0], siblings: [] }

export function merge(a: Replica, b: Replica): Replica {
  const kept = (mine: Replica, other: Replica) =>
    mine.siblings.filter(
      (sibling) => !covers(other.clock, sibling) || other.siblings.some((each) => isSame(each, sibling)),
    )
  const mine = kept(a, b)
  const theirs = kept(b, a).filter((sibling) => !mine.some((each) => isSame(each, sibling)))
  return { clock: later(a.clock, b.clock), siblings: [...mine, ...theirs].sort(bySibling) }
}

/** The record after a write that this replica gives its next event to. */
export function write(
  replica: Replica,
  at: number,
  { value, seen }: { value: History | undefined; seen: Clock },
): Replica {
  const event = (replica.clock[at] ?? 0) + 1
  const kept = replica.siblings.filter((sibling) => !covers(seen, sibling))
  const clock = REPLICAS.map((each) => (each === at ? event : Math.max(replica.clock[each], seen[each])))
  const siblings = [...kept, { at, event, value }].sort(bySibling)
  return { clock: clock as unknown as Clock, siblings }
}

export function isExactly({ clock }: Replica, seen: Clock): boolean {
  return REPLICAS.every((each) => clock[each] === seen[each])
}

export function historyOf({ siblings }: Replica): History {
  return siblings.map(({ value }) => value ?? NO_HISTORY).reduce(joinHistories, NO_HISTORY)
}

/** A short name, the same for records that are the same. */
export function nameOf(record: Replica): string {
  const known = names.get(record)
  if (known !== undefined) return known
  const { clock, siblings } = record
  const parts = siblings.map(
    ({ at, event, value }) => `${at}.${event}=${value === undefined ? '' : textOf(value)}`,
  )
  const text = `${clock.join('.')} ${parts.join(' ')}`
  const name = numbers.get(text) ?? numbers.size.toString(36)
  numbers.set(text, name)
  names.set(record, name)
  return name
}

const names = new WeakMap<Replica, string>()
const numbers = new Map<string, string>()

const texts = new WeakMap<History, string>()

function textOf(history: History): string {
  const known = texts.get(history) ?? toHex(encodeWith(historyCodec, history))
  texts.set(history, known)
  return known
}

function covers(clock: Clock, { at, event }: Sibling): boolean {
  return (clock[at] ?? 0) >= event
}

function isSame(a: Sibling, b: Sibling): boolean {
  return a.at === b.at && a.event === b.event
}

function bySibling(a: Sibling, b: Sibling): number {
  return a.at - b.at || a.event - b.event
}

function later(a: Clock, b: Clock): Clock {
  return [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.max(a[2], b[2])]
}
