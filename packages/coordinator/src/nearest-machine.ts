import { mergeRecords, recordsEqual, type StoredRecord } from '@atoll/causality'
import type { AtollError } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { countsAsEvidence } from './evidence.ts'
import type { Failure, ReadTally } from './get-machine.ts'
import type { Absence } from './kv.ts'

export type NearestEvent =
  | { readonly kind: 'start' }
  /** The replica has a record, and the reader takes it. */
  | { readonly kind: 'found'; readonly at: number; readonly record: StoredRecord }
  /** `refused`: it has a record, and the reader does not take it. */
  | { readonly kind: 'missing' | 'corrupt' | 'refused'; readonly at: number }
  | { readonly kind: 'failed'; readonly at: number; readonly error: AtollError }
  /** The replica asked last is slower than it usually is. */
  | { readonly kind: 'hedge' }
  /** Those that have not answered by now are given up: the others shall do without them, if they can. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'timeout' }

export type NearestEffect =
  | { readonly kind: 'ask'; readonly at: number; readonly target: PreferenceEntry }
  /** Wait for `node` as long as is usual for it, then send `hedge`. */
  | { readonly kind: 'wait'; readonly node: string }
  | { readonly kind: 'answer'; readonly record: StoredRecord | undefined }
  | { readonly kind: 'unmet'; readonly timedOut: boolean }
  | { readonly kind: 'repair'; readonly target: PreferenceEntry; readonly record: StoredRecord }

export interface NearestPlan {
  /** In the order in which they are asked. */
  readonly targets: readonly PreferenceEntry[]
  readonly quorum: NearestQuorum
  /** Fallbacks further up the preference list, that may hold it for those of `lost`. */
  readonly further: (lost: readonly PreferenceEntry[]) => readonly PreferenceEntry[]
  /** Whether the key is known to have been written: then it is not absent while somebody who may hold it was not heard. */
  readonly known: boolean
  /** Whether somebody who may hold it cannot be asked. Called only for what is known. */
  readonly isSomeoneAway: () => boolean
  /** Whether all targets are asked at once, and heard before the answer. */
  readonly repair: boolean
}

export interface NearestQuorum {
  readonly n: number
  /** How many must have none before a key that may never have been written is absent. */
  readonly r: number
  /** Whether these must be primaries. */
  readonly absence: Absence
}

type State = 'idle' | 'asked' | 'silent' | 'found' | 'missing' | 'corrupt' | 'refused' | 'failed'

interface Slot {
  readonly target: PreferenceEntry
  state: State
  /** What was found there. */
  record?: StoredRecord
  /** What it failed with. */
  error?: AtollError
}

const WRITE_ONCE = { kind: 'write-once' } as const
const NOTHING: readonly NearestEffect[] = []

/**
 * One read of a write-once key. Any replica's value is the value, so that the nearest one is asked, and the next one
 * when that is slower than usual (hedged requests: Dean and Barroso, "The Tail at Scale", 2013). Whoever has none, or
 * a bad one, is healed. Replicas write without a look at what they have, so that one may hold a value and another the
 * tombstone that came before it: a repairing read, which hears all, gives everyone the record that wins.
 */
export class NearestMachine {
  readonly #plan: NearestPlan
  readonly #slots: Slot[]
  #record: StoredRecord | undefined
  #widened = false
  #answered = false

  constructor(plan: NearestPlan) {
    this.#plan = plan
    this.#slots = plan.targets.map((target) => ({ target, state: 'idle' }))
  }

  step(event: NearestEvent): readonly NearestEffect[] {
    if (this.#answered) return NOTHING
    switch (event.kind) {
      case 'start':
        return this.#plan.repair ? this.#askAll() : this.#askNext()
      case 'hedge':
        return this.#askNext()
      case 'found':
        return this.#find(event.at, event.record)
      case 'missing':
      case 'corrupt':
      case 'refused':
        this.#mark(event.at, event.kind)
        return this.#progress(this.#askAll())
      case 'failed':
        this.#fail(event.at, event.error)
        return this.#progress(this.#askNext())
      case 'silence':
        return this.#giveUp()
      case 'timeout':
        return this.#record === undefined ? this.#unmet(true) : this.#answer(this.#record)
    }
  }

  /** A refused value counts as corrupt. */
  tally(): ReadTally {
    const count = (...states: State[]) => this.#slots.filter(({ state }) => states.includes(state)).length
    return {
      found: count('found'),
      missing: this.#slots.filter(({ state, target }) => state === 'missing' && !target.isBehind).length,
      corrupt: count('corrupt', 'refused'),
      failed: count('failed'),
      behind: this.#slots.filter(({ state, target }) => state === 'missing' && target.isBehind).length,
      waiting: count('asked', 'silent'),
      primaries: this.#slots.filter(
        ({ state, target }) => target.role === 'primary' && (state === 'found' || state === 'missing'),
      ).length,
    }
  }

  /** Whether some replica still owes an answer. */
  get waiting(): boolean {
    return this.#slots.some(({ state }) => state === 'asked' || state === 'silent')
  }

  /** Who failed, and who has not answered. */
  failures(): readonly Failure[] {
    return this.#slots
      .filter(({ state }) => state === 'failed' || state === 'asked' || state === 'silent')
      .map(({ target, error }) => ({ node: target.node, error }))
  }

  /** Whether every primary was heard, none has it whole, and one has it damaged. */
  isCorrupt(): boolean {
    const { corrupt } = this.tally()
    const heard = this.#slots.filter(
      ({ target, state }) => countsAsEvidence(target) && (state === 'missing' || isDamaged(state)),
    )
    return corrupt > 0 && heard.length >= this.#plan.quorum.n && !this.#mayBeElsewhere()
  }

  /** Whether somebody that was not heard may hold what is known to have been written. */
  #mayBeElsewhere(): boolean {
    const { known, isSomeoneAway } = this.#plan
    if (!known) return false
    return isSomeoneAway() || this.#slots.some(({ state }) => state === 'failed' || state === 'silent')
  }

  #mark(at: number, state: State): void {
    const slot = this.#slots[at]
    if (slot !== undefined) slot.state = state
  }

  #fail(at: number, error: AtollError): void {
    const slot = this.#slots[at]
    if (slot !== undefined) slot.error = error
    this.#mark(at, 'failed')
  }

  #giveUp(): readonly NearestEffect[] {
    for (const slot of this.#slots) if (slot.state === 'asked') slot.state = 'silent'
    return this.#progress(this.#askAll())
  }

  #find(at: number, record: StoredRecord): readonly NearestEffect[] {
    const slot = this.#slots[at]
    if (slot !== undefined) slot.record = record
    this.#mark(at, 'found')
    this.#record = this.#record === undefined ? record : mergeRecords(WRITE_ONCE, this.#record, record)
    return this.#plan.repair ? this.#progress(NOTHING) : this.#answer(this.#record)
  }

  #askNext(): readonly NearestEffect[] {
    const at = this.#slots.findIndex(({ state }) => state === 'idle')
    const slot = this.#slots[at]
    if (slot === undefined) return NOTHING
    const ask = this.#ask(at, slot)
    const more = this.#slots.some(({ state }) => state === 'idle')
    return more ? [ask, { kind: 'wait', node: slot.target.node }] : [ask]
  }

  #askAll(): readonly NearestEffect[] {
    const effects: NearestEffect[] = []
    for (const [at, slot] of this.#slots.entries()) {
      if (slot.state === 'idle') effects.push(this.#ask(at, slot))
    }
    return effects
  }

  #ask(at: number, slot: Slot): NearestEffect {
    slot.state = 'asked'
    return { kind: 'ask', at, target: slot.target }
  }

  /** Concludes when everyone was heard: first those of the list, then those further up, if the list had gaps. */
  #progress(effects: readonly NearestEffect[]): readonly NearestEffect[] {
    if (effects.length > 0 || this.#slots.some(({ state }) => state === 'asked')) return effects
    if (this.#record !== undefined) return this.#answer(this.#record)
    if (this.#widened) return this.#conclude()
    this.#widened = true
    const { known } = this.#plan
    const isLost = ({ state, target }: Slot) =>
      known || state === 'failed' || state === 'silent' || target.role === 'fallback'
    const lost = this.#slots.filter(isLost).map(({ target }) => target)
    for (const target of this.#plan.further(lost)) this.#slots.push({ target, state: 'idle' })
    const further = this.#askAll()
    return further.length > 0 ? further : this.#conclude()
  }

  /**
   * Where one replica has a bad copy the key is not absent: its value is lost, or out of reach. That those further up
   * have none tells nothing: nobody had to give it to them. While one that is silent may have it, it is waited for. What is
   * known to have been written is lost only if nobody has it: writes may have met none but fallbacks.
   */
  #conclude(): readonly NearestEffect[] {
    const { targets, quorum, known } = this.#plan
    const needed = known ? quorum.n : quorum.r
    const missing = this.#slots
      .slice(0, targets.length)
      .filter(({ state, target }) => state === 'missing' && counts(target, quorum))
    if (this.tally().corrupt > 0 || missing.length < needed || this.#mayBeElsewhere())
      return this.waiting ? NOTHING : this.#unmet(false)
    this.#answered = true
    return [{ kind: 'answer', record: undefined }]
  }

  #answer(record: StoredRecord): readonly NearestEffect[] {
    this.#answered = true
    const effects: NearestEffect[] = [{ kind: 'answer', record }]
    for (const slot of this.#slots) {
      const { target } = slot
      if (target.role === 'primary' && lacks(slot, record)) effects.push({ kind: 'repair', target, record })
    }
    return effects
  }

  #unmet(timedOut: boolean): readonly NearestEffect[] {
    this.#answered = true
    return [{ kind: 'unmet', timedOut }]
  }
}

function counts(target: PreferenceEntry, { absence }: NearestQuorum): boolean {
  return !target.isBehind && (absence === 'any' || countsAsEvidence(target))
}

function isDamaged(state: State): boolean {
  return state === 'corrupt' || state === 'refused'
}

/** Whether a replica that has answered holds something else. */
function lacks({ state, record: held }: Slot, record: StoredRecord): boolean {
  if (state === 'found') return held !== undefined && !recordsEqual(held, record)
  return state === 'missing' || isDamaged(state)
}
