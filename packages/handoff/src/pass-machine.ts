import { assert } from '@atoll/core'
import type { Place } from './sender.ts'

/** What the machine has to know of a record. */
export interface Passed {
  /** What is stored of it. */
  readonly bytes: number
}

/** A page of heads; see `Page` of the vnode. */
export interface PassPage<Item> {
  readonly records: readonly Item[]
  /** Where the next page begins; undefined if nothing is behind this one. */
  readonly next: Uint8Array | undefined
  /** Keys of the hints that the page goes by, if it does. */
  readonly notes: readonly Uint8Array[]
  /** Names of records left out because they are damaged. */
  readonly corrupt: readonly string[]
}

/** Why records of a vnode are offered to others. */
export type PassAim =
  /** They do not belong here: what all its places have is deleted. One bucket type, if it is named. */
  | { readonly kind: 'give-back'; readonly type: string | undefined }
  /** Others lack them: all are offered, behind a durable cursor of that id. */
  | { readonly kind: 'refill'; readonly id: string }
  /** A node missed them: all of the vnode, if that is owed, and then what was noted by key. */
  | { readonly kind: 'hints'; readonly node: string }

/** One way through the pages of the vnode. */
export type PassLeg =
  | { readonly kind: 'give-back'; readonly type: string | undefined }
  /** `owedTo` is the node that is owed the whole vnode, if that is why. */
  | { readonly kind: 'refill'; readonly id: string; readonly owedTo: string | undefined }
  | { readonly kind: 'hints'; readonly node: string }

export interface PassRules<Item> {
  readonly aim: PassAim
  /** Which vnodes shall have a record. */
  readonly select: (item: Item) => readonly Place[]
  readonly nameOf: (item: Item) => string
  /** The name of the record that a hint is about. */
  readonly nameOfHint: (key: Uint8Array) => string
}

export interface PassTally {
  /** Records that were deleted here, and what was stored of them. */
  readonly records: number
  readonly bytes: number
  /** Records that one of their vnodes lacks still, and does not take; those of a refill are not counted. */
  readonly refused: number
  /** Damaged ones, which nobody can be given; as above. */
  readonly corrupt: number
  /** Records that are still here at the end of a give-back. */
  readonly left: number
}

/** Records for one place. */
interface Share<Item> {
  readonly to: Place
  readonly items: readonly Item[]
}

/** A page that is being offered to its places, one after the other. */
interface Offering<Item> {
  readonly page: PassPage<Item>
  readonly to: Share<Item>
  readonly waiting: readonly Share<Item>[]
  /** What one of its places lacks, as far as they have been asked. */
  readonly lacking: ReadonlySet<Item>
  /** Of those. */
  readonly damaged: ReadonlySet<Item>
}

interface Course {
  readonly leg: PassLeg
  readonly tally: PassTally
  /** Places that something was offered to: they hear of the end. */
  readonly told: ReadonlyMap<string, Place>
}

/** Where a pass stands: what it waits for. */
export type PassState<Item> =
  | { readonly at: 'looking'; readonly node: string }
  | { readonly at: 'waiting'; readonly course: Course }
  | { readonly at: 'finding'; readonly course: Course }
  | { readonly at: 'reading'; readonly course: Course }
  | { readonly at: 'offering'; readonly course: Course; readonly offering: Offering<Item> }
  | { readonly at: 'settling'; readonly course: Course; readonly next: Uint8Array | undefined }
  | { readonly at: 'closing'; readonly course: Course }
  | { readonly at: 'filling'; readonly course: Course; readonly node: string }
  | { readonly at: 'ending'; readonly outcome: Outcome }
  | Outcome

type Outcome =
  | { readonly at: 'done'; readonly tally: PassTally }
  | { readonly at: 'failed'; readonly cause: unknown }

/** What takes time, and ends in one event. */
export type PassTask<Item> =
  /** Answers the refill that the whole vnode is owed by. What is missed from now on is noted by key again. */
  | { readonly do: 'find-owed'; readonly node: string }
  /** Waits until what has begun to be written is on disk, or has failed. */
  | { readonly do: 'settle-writes' }
  /** The same; keys that are noted from now on are not forgotten. */
  | { readonly do: 'watch'; readonly node: string }
  | { readonly do: 'read-cursor'; readonly id: string }
  /** The cursor of a refill counts for its first page: the next one is that which is read ahead. */
  | { readonly do: 'read-page'; readonly leg: PassLeg; readonly cursor: Uint8Array | undefined }
  | { readonly do: 'push'; readonly items: readonly Item[]; readonly to: Place }
  /** Deletes those that have not changed; fails if the vnode has become this node's own, all of it. */
  | { readonly do: 'remove'; readonly items: readonly Item[]; readonly type: string | undefined }
  | { readonly do: 'save-cursor'; readonly id: string; readonly cursor: Uint8Array }
  /** Deletes hints, but for keys that were noted since the watch began. */
  | { readonly do: 'forget-hints'; readonly keys: readonly Uint8Array[] }
  | { readonly do: 'forget-cursor'; readonly id: string }
  /** Writes down that the whole vnode is not owed any more, unless another refill has to be begun. */
  | { readonly do: 'save-filled'; readonly id: string; readonly node: string }
  /** Counts what is still here. */
  | { readonly do: 'count'; readonly type: string | undefined }
  /** Looks which hints are left on disk. */
  | { readonly do: 'reload-hints'; readonly node: string }
  /** Tells the places that nothing more comes for now. Best effort. */
  | { readonly do: 'end'; readonly places: readonly Place[] }

export type PassEvent<Item> =
  | { readonly kind: 'owed'; readonly id: string | undefined }
  | { readonly kind: 'cursor'; readonly cursor: Uint8Array | undefined }
  | { readonly kind: 'page'; readonly page: PassPage<Item> }
  /** Of what was pushed: what the place has now, durably, and what is damaged here. */
  | { readonly kind: 'pushed'; readonly held: readonly Item[]; readonly damaged: readonly Item[] }
  /** Those that were deleted. */
  | { readonly kind: 'removed'; readonly items: readonly Item[] }
  | { readonly kind: 'counted'; readonly records: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly cause: unknown }

export interface PassStep<Item> {
  readonly state: PassState<Item>
  /** Undefined at the end of the pass. */
  readonly task: PassTask<Item> | undefined
}

const NOTHING: PassTally = { records: 0, bytes: 0, refused: 0, corrupt: 0, left: 0 }
const NOBODY: ReadonlyMap<string, Place> = new Map()

/**
 * One pass over the records of a vnode, page by page in the order of keys. Each page is offered to the places that shall
 * have its records, one place after the other, and then settled: what all of them have is deleted here, or its hints are, or
 * a durable cursor is put behind it. Nothing is settled that one of its places lacks, or that changed meanwhile. What stays
 * is tried again by the next pass.
 */
export function beginPass<Item extends Passed>({ aim }: Pick<PassRules<Item>, 'aim'>): PassStep<Item> {
  if (aim.kind === 'hints') {
    const { node } = aim
    return { state: { at: 'looking', node }, task: { do: 'find-owed', node } }
  }
  const leg: PassLeg = aim.kind === 'refill' ? { ...aim, owedTo: undefined } : aim
  return begin({ leg, tally: NOTHING, told: NOBODY })
}

export function nextPass<Item extends Passed>(
  rules: PassRules<Item>,
  state: PassState<Item>,
  event: PassEvent<Item>,
): PassStep<Item> {
  if (state.at === 'ending') return { state: state.outcome, task: undefined }
  if (event.kind === 'failed') return afterFailure(state, event.cause)
  switch (state.at) {
    case 'looking':
      return event.kind === 'owed' ? look(state.node, event.id) : unexpected(state, event)
    case 'waiting':
      return waited(state.course)
    case 'finding':
      return event.kind === 'cursor' ? read(state.course, event.cursor) : unexpected(state, event)
    case 'reading':
      return event.kind === 'page' ? offer(rules, state.course, event.page) : unexpected(state, event)
    case 'offering':
      return event.kind === 'pushed' ? pushed(rules, state, event) : unexpected(state, event)
    case 'settling': {
      const { course, next } = state
      const settled = event.kind === 'removed' ? removed(course, event.items) : course
      return next === undefined ? close(settled) : read(settled, next)
    }
    case 'closing':
      return closed(state.course, event)
    case 'filling':
      return begin({ ...state.course, leg: { kind: 'hints', node: state.node } })
    default:
      return unexpected(state, event)
  }
}

/** What was noted by key is looked at after the whole of it: it may be among that. */
function look<Item>(node: string, id: string | undefined): PassStep<Item> {
  const leg: PassLeg = id === undefined ? { kind: 'hints', node } : { kind: 'refill', id, owedTo: node }
  return begin({ leg, tally: NOTHING, told: NOBODY })
}

/** What is being written may have been asked for before the other vnodes were known, or noted before it was watched. */
function begin<Item>(course: Course): PassStep<Item> {
  const { leg } = course
  switch (leg.kind) {
    case 'give-back':
      return read(course, undefined)
    case 'refill':
      return { state: { at: 'waiting', course }, task: { do: 'settle-writes' } }
    case 'hints':
      return { state: { at: 'waiting', course }, task: { do: 'watch', node: leg.node } }
  }
}

function waited<Item>(course: Course): PassStep<Item> {
  const { leg } = course
  if (leg.kind !== 'refill') return read(course, undefined)
  return { state: { at: 'finding', course }, task: { do: 'read-cursor', id: leg.id } }
}

function read<Item>(course: Course, cursor: Uint8Array | undefined): PassStep<Item> {
  return { state: { at: 'reading', course }, task: { do: 'read-page', leg: course.leg, cursor } }
}

/** Nobody has what is offered to nobody: it is not deleted here. A hint of it is not needed. */
function offer<Item extends Passed>(
  rules: PassRules<Item>,
  course: Course,
  page: PassPage<Item>,
): PassStep<Item> {
  const shares = new Map<string, { readonly to: Place; readonly items: Item[] }>()
  const lacking = new Set<Item>()
  for (const item of page.records) {
    const places = rules.select(item)
    if (places.length === 0 && course.leg.kind === 'give-back') lacking.add(item)
    for (const to of places) {
      const share = shares.get(nameOfPlace(to))
      if (share === undefined) shares.set(nameOfPlace(to), { to, items: [item] })
      else share.items.push(item)
    }
  }
  const nothing = { page, lacking, damaged: new Set<Item>() }
  return offerNext(rules, course, { ...nothing, waiting: [...shares.values()] })
}

function offerNext<Item extends Passed>(
  rules: PassRules<Item>,
  course: Course,
  { waiting: [to, ...waiting], ...rest }: Omit<Offering<Item>, 'to'>,
): PassStep<Item> {
  if (to === undefined) return settle(rules, course, rest)
  const told = new Map([...course.told, [nameOfPlace(to.to), to.to]])
  const offering = { ...rest, to, waiting }
  const task = { do: 'push', items: to.items, to: to.to } as const
  return { state: { at: 'offering', course: { ...course, told }, offering }, task }
}

function pushed<Item extends Passed>(
  rules: PassRules<Item>,
  { course, offering }: Extract<PassState<Item>, { readonly at: 'offering' }>,
  event: Extract<PassEvent<Item>, { readonly kind: 'pushed' }>,
): PassStep<Item> {
  const held = new Set(event.held)
  const lacking = new Set([...offering.lacking, ...offering.to.items.filter((item) => !held.has(item))])
  const damaged = new Set([...offering.damaged, ...event.damaged])
  return offerNext(rules, course, { ...offering, lacking, damaged })
}

function settle<Item extends Passed>(
  { nameOf, nameOfHint }: PassRules<Item>,
  course: Course,
  { page, lacking, damaged }: Omit<Offering<Item>, 'to' | 'waiting'>,
): PassStep<Item> {
  const { next, records, corrupt } = page
  const { leg, tally } = course
  if (leg.kind === 'refill') {
    if (next === undefined) return close(course)
    return { state: { at: 'settling', course, next }, task: { do: 'save-cursor', id: leg.id, cursor: next } }
  }
  const counted: PassTally = {
    ...tally,
    refused: tally.refused + lacking.size - damaged.size,
    corrupt: tally.corrupt + corrupt.length + damaged.size,
  }
  const state: PassState<Item> = { at: 'settling', course: { ...course, tally: counted }, next }
  if (leg.kind === 'give-back') {
    const items = records.filter((item) => !lacking.has(item))
    return { state, task: { do: 'remove', items, type: leg.type } }
  }
  // A damaged record is given once it is whole again.
  const stays = new Set([...corrupt, ...Array.from(lacking, nameOf)])
  const keys = page.notes.filter((key) => !stays.has(nameOfHint(key)))
  return { state, task: { do: 'forget-hints', keys } }
}

function removed<Item extends Passed>(course: Course, items: readonly Item[]): Course {
  const { tally } = course
  const records = tally.records + items.length
  const bytes = items.reduce((sum, item) => sum + item.bytes, tally.bytes)
  return { ...course, tally: { ...tally, records, bytes } }
}

function close<Item>(course: Course): PassStep<Item> {
  const { leg } = course
  const state = { at: 'closing', course } as const
  switch (leg.kind) {
    case 'give-back':
      return { state, task: { do: 'count', type: leg.type } }
    case 'refill':
      return { state, task: { do: 'forget-cursor', id: leg.id } }
    case 'hints':
      return { state, task: { do: 'reload-hints', node: leg.node } }
  }
}

function closed<Item>(course: Course, event: PassEvent<Item>): PassStep<Item> {
  const { leg, tally } = course
  if (leg.kind === 'refill' && leg.owedTo !== undefined) {
    const { id, owedTo: node } = leg
    return { state: { at: 'filling', course, node }, task: { do: 'save-filled', id, node } }
  }
  const left = event.kind === 'counted' ? event.records : 0
  return end(course, { at: 'done', tally: { ...tally, left } })
}

/** What was deleted or forgotten until then was there; the others do not keep a place for what does not come. */
function afterFailure<Item>(
  state: Exclude<PassState<Item>, { readonly at: 'ending' }>,
  cause: unknown,
): PassStep<Item> {
  const failed: Outcome = { at: 'failed', cause }
  return 'course' in state ? end(state.course, failed) : { state: failed, task: undefined }
}

/** The others take records for a few vnodes at a time, and others wait for that. */
function end<Item>({ told }: Course, outcome: Outcome): PassStep<Item> {
  if (told.size === 0) return { state: outcome, task: undefined }
  return { state: { at: 'ending', outcome }, task: { do: 'end', places: [...told.values()] } }
}

function nameOfPlace({ node, partition }: Place): string {
  return `${partition} ${node}`
}

function unexpected<Item>({ at }: PassState<Item>, { kind }: PassEvent<Item>): never {
  assert(false, `a pass that is ${at} does not expect the event "${kind}"`)
}
