import { type ActorId, recordsEqual, renameSiblings, type StoredRecord } from '@atoll/causality'
import type { AtollError } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { countsAsEvidence } from './evidence.ts'
import type { Failure } from './get-machine.ts'
import type { NodesInUse } from './preference.ts'
import type { WriteQuorum } from './quorum.ts'
import { isUnable } from './unable.ts'

export type PutEvent =
  | { readonly kind: 'start' }
  /** The replica gave the write its dot. What it says of the result from here on is said of any replica that stores it. */
  | { readonly kind: 'decided'; readonly at: number; readonly record: StoredRecord }
  /** The replica gave the write its dot and has the result on disk. */
  | { readonly kind: 'coordinated'; readonly at: number; readonly record: StoredRecord }
  /** It was to write only if alone, and has written nothing. */
  | { readonly kind: 'declined'; readonly at: number }
  | { readonly kind: 'accepted'; readonly at: number; readonly of?: StoredRecord }
  /** `twice`: actors of dots that stood for other writes there than in the record. */
  | {
      readonly kind: 'stored'
      readonly at: number
      readonly alone?: boolean
      readonly of?: StoredRecord
      readonly twice?: readonly ActorId[] | undefined
    }
  /** `of` is the record that was to be stored; what is heard of another one than the last is of no account. */
  | { readonly kind: 'failed'; readonly at: number; readonly error: AtollError; readonly of?: StoredRecord }
  /** The caller waits no longer: what is under way goes on, but nobody else is asked to coordinate. */
  | { readonly kind: 'timeout' | 'abort' }

export type PutEffect =
  | {
      readonly kind: 'coordinate'
      readonly at: number
      readonly target: PreferenceEntry
      readonly ifAlone: boolean
    }
  | {
      readonly kind: 'store'
      readonly at: number
      readonly target: PreferenceEntry
      readonly record: StoredRecord
    }
  | { readonly kind: 'met'; readonly record: StoredRecord; readonly alone: boolean }
  | { readonly kind: 'declined' }
  | { readonly kind: 'unmet'; readonly timedOut: boolean }

/** How many replicas hold the write. */
export interface WriteTally {
  readonly accepted: number
  readonly durable: number
  /** Primaries among the durable ones, but for one that is being filled: no read hears that one. */
  readonly primaries: number
  readonly failed: number
}

/** Who lacks a write in the end, and who shall note that. */
export interface Missed {
  /** Those that have it: primaries, and who stands in for one, since that may come to hold the key itself. */
  readonly holders: readonly PreferenceEntry[]
  readonly nodes: readonly string[]
}

export interface PutPlan {
  readonly targets: readonly PreferenceEntry[]
  readonly quorum: WriteQuorum
  /** While n goes up: the replica that is being filled, and what must be met without it, for those who read without it. */
  readonly newcomer?:
    | { readonly node: string; readonly others: Pick<WriteQuorum, 'w' | 'dw' | 'pw'> }
    | undefined
  /** The node that coordinates if it is a primary among the targets: one hop less. */
  readonly local: string
  /** A finished record (write-once) goes to all at once; without one a replica has to coordinate first. */
  readonly record: StoredRecord | undefined
  /**
   * How many primaries must say that the write met nothing else for it to count as alone; undefined if nobody asks. The
   * quorum being met, the answer waits for that to be decided.
   */
  readonly aloneAt?: number | undefined
  /**
   * Only a primary may coordinate, and only if it holds exactly what the context covers, also after others have failed.
   * One that declines is not the last word: the next primary may still hold it.
   */
  readonly guarded?: boolean | undefined
  /** Who stands in for a node that turned out to be unable, and is not in use yet. */
  readonly spareFor: (lost: PreferenceEntry, use: NodesInUse) => PreferenceEntry | undefined
}

type State = 'idle' | 'coordinating' | 'declined' | 'storing' | 'accepted' | 'durable' | 'failed' | 'lost'

interface Slot {
  readonly target: PreferenceEntry
  state: State
  /** What the replica says; undefined if nothing. */
  alone: boolean | undefined
  /** Whether it was asked to coordinate and nobody knows what it did: it may have a version of its own. */
  isDoubtful: boolean
  /** Whether it has coordinated and not said yet that it stores the result. */
  hasDecided: boolean
}

const NOTHING: readonly PutEffect[] = []
const NOBODY: readonly Missed[] = []

/**
 * One write: Riak's put (riak_kv_put_core), with its faults repaired. If the coordinating replica fails the next one
 * coordinates; the write keeps its identity, so that two dots of it count as one. A node found dead, closing, or unable
 * for another reason is replaced by the next fallback at once. `definite()` tells a write that happened nowhere from
 * one of unknown outcome. A replica that knows a dot of the record as another write's keeps both, but others may have
 * taken the record for something that was replaced long ago: all get it anew, by names that nobody knows, and only then
 * does their word count.
 */
export class PutMachine {
  readonly #plan: PutPlan
  readonly #slots: Slot[]
  readonly #failures: (Failure & { readonly error: AtollError })[] = []
  #unable: Set<string> | undefined
  #record: StoredRecord | undefined
  #accepted = 0
  #durable = 0
  #primaries = 0
  #failed = 0
  #spares: number
  #answered = false
  #givenUp = false
  #isRenamed = false

  constructor(plan: PutPlan) {
    this.#plan = plan
    this.#slots = plan.targets.map((target) => ({
      target,
      state: 'idle',
      alone: undefined,
      isDoubtful: false,
      hasDecided: false,
    }))
    this.#spares = plan.quorum.sloppy ? plan.quorum.n : 0
  }

  step(event: PutEvent): readonly PutEffect[] {
    if ('of' in event && event.of !== this.#record) return NOTHING
    switch (event.kind) {
      case 'start':
        return this.#plan.record === undefined ? this.#coordinate() : this.#spread(this.#plan.record)
      case 'decided':
        return this.#decided(event.at, event.record)
      case 'coordinated':
        this.#mark(event.at, 'durable')
        // After a failure the write may be on another replica already, by another dot: it was made unconditionally.
        this.#hear(event.at, this.#plan.guarded === true || this.#failures.length === 0)
        return this.#concluded(this.#spread(event.record))
      case 'declined':
        return this.#decline(event.at)
      case 'accepted':
        this.#mark(event.at, 'accepted')
        return this.#concluded(NOTHING)
      case 'stored':
        return this.#renamed(event.twice) ?? this.#stored(event.at, event.alone ?? false)
      case 'failed':
        return this.#fail(event.at, event.error)
      case 'timeout':
      case 'abort':
        this.#givenUp = true
        return [...this.#concluded(NOTHING), ...this.#unmet(event.kind === 'timeout')]
    }
  }

  tally(): WriteTally {
    return {
      accepted: this.#accepted,
      durable: this.#durable,
      primaries: this.#filledPrimaries,
      failed: this.#failed,
    }
  }

  /**
   * Once all have answered: the primaries that may lack the write, unless it is on n nodes, those among them that were
   * not asked; and what one may have that was to coordinate and did not answer.
   */
  missed(notAsked: () => readonly string[]): readonly Missed[] {
    const isEverywhere = this.#durable >= this.#plan.quorum.n
    if (isEverywhere && !this.#slots.some(({ isDoubtful }) => isDoubtful)) return NOBODY
    const primaries = this.#slots.filter(({ target }) => target.role === 'primary')
    const lacking = primaries.filter(({ state }) => state !== 'durable')
    const nodes = isEverywhere ? [] : [...notAsked(), ...nodesOf(lacking)]
    const holders = this.#slots.filter(({ state }) => state === 'durable').map(({ target }) => target)
    const doubtful = this.#slots.filter(({ isDoubtful }) => isDoubtful)
    const doubts = doubtful.map((slot) => {
      const others = primaries.filter((other) => other !== slot)
      return { nodes: [...notAsked(), ...nodesOf(others)], holders: [slot.target] }
    })
    return [{ nodes, holders }, ...doubts].filter((missed) => missed.holders.length * missed.nodes.length > 0)
  }

  /** Who failed, in the order of arrival, and then who was asked and has not answered at all. */
  failures(): readonly Failure[] {
    const waiting: readonly State[] = ['coordinating', 'storing']
    const failed = new Set(this.#failures.map(({ node }) => node))
    const asked = nodesOf(this.#slots.filter(({ state }) => waiting.includes(state)))
    const silent = asked.filter((node) => !failed.has(node))
    return [...this.#failures, ...silent.map((node) => ({ node, error: undefined }))]
  }

  /** True if the write certainly is on no replica, and never will be. */
  definite(): boolean {
    const nowhere: readonly State[] = ['idle', 'declined', 'failed', 'lost']
    const maybe = ({ state }: Slot) => !nowhere.includes(state)
    if (this.#isRenamed) return false
    return this.#failures.every(({ error }) => error.definite) && !this.#slots.some(maybe)
  }

  /** What failed before may have written all the same: then nobody knows that nothing was. */
  #decline(at: number): readonly PutEffect[] {
    const slot = this.#slots[at]
    if (slot !== undefined) slot.state = 'declined'
    if (this.#answered) return NOTHING
    const others = this.#plan.guarded === true && !this.#givenUp ? this.#coordinate() : this.#unmet(false)
    const isLast = others.every(({ kind }) => kind !== 'coordinate')
    return isLast && this.definite() ? [{ kind: 'declined' }] : others
  }

  /**
   * The local primary, else the first one, else the local fallback, else the first one, of those not yet asked. A
   * fallback that coordinates adds an actor to the clock. So does one that has nothing yet, or an older copy, which
   * knows less as well.
   */
  #coordinate(): readonly PutEffect[] {
    const { guarded, local, aloneAt, newcomer } = this.#plan
    let best = -1
    let bestRank = 4
    for (const [at, { state, target }] of this.#slots.entries()) {
      if (guarded === true && target.role !== 'primary') continue
      const knows = countsAsEvidence(target) && target.node !== newcomer?.node
      const rank = (knows ? 0 : 2) + (target.node === local ? 0 : 1)
      if (state !== 'idle' || rank >= bestRank) continue
      best = at
      bestRank = rank
    }
    const slot = this.#slots[best]
    if (slot === undefined) return this.#unmet(false)
    slot.state = 'coordinating'
    const ifAlone = guarded === true || (aloneAt !== undefined && this.#failures.length === 0)
    return [{ kind: 'coordinate', at: best, target: slot.target, ifAlone }]
  }

  /** The others need not wait for the disk of the one that has coordinated: it stores the record as they do. */
  #decided(at: number, record: StoredRecord): readonly PutEffect[] {
    const slot = this.#slots[at]
    if (slot?.state !== 'coordinating') return NOTHING
    slot.state = 'storing'
    slot.hasDecided = true
    return this.#spread(record)
  }

  /** One that failed to coordinate, but can be reached, may well store. */
  #spread(record: StoredRecord): PutEffect[] {
    this.#record = record
    const effects: PutEffect[] = []
    for (const [at, slot] of this.#slots.entries()) {
      if (slot.state === 'failed') this.#failed -= 1
      if (slot.state === 'idle' || slot.state === 'declined' || slot.state === 'failed')
        effects.push(this.#store(at, slot, record))
    }
    return effects
  }

  #stored(at: number, alone: boolean): readonly PutEffect[] {
    this.#mark(at, 'durable')
    this.#hear(at, alone)
    return this.#concluded(NOTHING)
  }

  /** Undefined if the record has none of these dots, as it has not once it was renamed. */
  #renamed(twice: readonly ActorId[] | undefined): readonly PutEffect[] | undefined {
    const before = this.#record
    if (twice === undefined || before === undefined) return undefined
    const record = renameSiblings(before, twice)
    if (recordsEqual(record, before)) return undefined
    this.#isRenamed = true
    this.#record = record
    this.#accepted = 0
    this.#durable = 0
    this.#primaries = 0
    this.#failed = 0
    return this.#slots.flatMap((slot, at) => {
      if (slot.state === 'lost') return []
      slot.alone = false
      return [this.#store(at, slot, record)]
    })
  }

  #store(at: number, slot: Slot, record: StoredRecord): PutEffect {
    slot.state = 'storing'
    return { kind: 'store', at, target: slot.target, record }
  }

  #hear(at: number, alone: boolean): void {
    const slot = this.#slots[at]
    if (slot !== undefined && slot.alone === undefined) slot.alone = alone
  }

  #mark(at: number, state: 'accepted' | 'durable'): void {
    const slot = this.#slots[at]
    if (slot === undefined || slot.state === 'durable' || slot.state === state) return
    if (slot.state !== 'accepted') this.#accepted += 1
    slot.state = state
    if (state === 'accepted') return
    this.#durable += 1
    if (slot.target.role === 'primary') this.#primaries += 1
  }

  #fail(at: number, error: AtollError): readonly PutEffect[] {
    const slot = this.#slots[at]
    if (slot === undefined) return NOTHING
    const wasCoordinating = slot.state === 'coordinating'
    if (slot.state === 'accepted') this.#accepted -= 1
    this.#failed += 1
    this.#failures.push({ node: slot.target.node, error })
    slot.state = 'failed'
    if ((wasCoordinating || slot.hasDecided) && !error.definite) slot.isDoubtful = true
    const effects = isUnable(error) ? this.#replace(slot) : this.#storeAfter(at, slot)
    if (!this.#reachesQuorum()) return [...effects, ...this.#unmet(false)]
    if (!wasCoordinating) return this.#concluded(effects)
    return this.#givenUp ? NOTHING : this.#coordinate()
  }

  /** One that has coordinated, and failed then, had less time than those that store: it is asked to do that. */
  #storeAfter(at: number, slot: Slot): readonly PutEffect[] {
    const { hasDecided } = slot
    slot.hasDecided = false
    if (!hasDecided || this.#record === undefined || this.#answered || this.#givenUp) return NOTHING
    this.#failed -= 1
    return [this.#store(at, slot, this.#record)]
  }

  /** Even where it is unknown what the lost node did: a record too many is merged away, one too few is missed. */
  #replace(slot: Slot): readonly PutEffect[] {
    slot.state = 'lost'
    this.#unable ??= new Set()
    this.#unable.add(slot.target.node)
    if (this.#spares === 0) return NOTHING
    const tried = new Set(this.#slots.map(({ target }) => target.node))
    const target = this.#plan.spareFor(slot.target, { unable: this.#unable, tried })
    if (target === undefined) return NOTHING
    this.#spares -= 1
    const spare: Slot = { target, state: 'idle', alone: undefined, isDoubtful: false, hasDecided: false }
    this.#slots.push(spare)
    return this.#record === undefined ? NOTHING : [this.#store(this.#slots.length - 1, spare, this.#record)]
  }

  #concluded(effects: readonly PutEffect[]): readonly PutEffect[] {
    const { w, dw, pw } = this.#plan.quorum
    const record = this.#record
    if (this.#answered || record === undefined) return effects
    if (this.#accepted < w || this.#durable < dw || this.#primaries < pw) return effects
    if (!this.#isMetByOthers()) return effects
    const alone = this.#isAlone()
    return alone === undefined ? effects : [...effects, ...this.#answer({ kind: 'met', record, alone })]
  }

  /** That of the replica that is being filled, if it was asked. */
  get #newcomer(): Slot | undefined {
    const { newcomer } = this.#plan
    return newcomer && this.#slots.find(({ target }) => target.node === newcomer.node)
  }

  /** Durable primaries, but for one that is being filled. */
  get #filledPrimaries(): number {
    const slot = this.#newcomer
    const isCounted = slot?.state === 'durable' && slot.target.role === 'primary'
    return isCounted ? this.#primaries - 1 : this.#primaries
  }

  #isMetByOthers(): boolean {
    const { newcomer } = this.#plan
    if (newcomer === undefined) return true
    const { w, dw, pw } = newcomer.others
    const state = this.#newcomer?.state
    const durable = state === 'durable' ? 1 : 0
    const accepted = state === 'accepted' ? 1 : durable
    return this.#accepted - accepted >= w && this.#durable - durable >= dw && this.#filledPrimaries >= pw
  }

  /** Undefined while it may still turn out either way. A fallback knows little, and has no voice in this. */
  #isAlone(): boolean | undefined {
    const { aloneAt } = this.#plan
    if (aloneAt === undefined || this.#givenUp) return false
    let sure = 0
    let open = 0
    for (const { target, state, alone } of this.#slots) {
      if (alone === false) return false
      if (!countsAsEvidence(target) || target.node === this.#plan.newcomer?.node) continue
      if (alone) sure += 1
      else if (state === 'storing' || state === 'accepted') open += 1
    }
    if (sure >= aloneAt) return true
    return sure + open >= aloneAt ? undefined : false
  }

  #unmet(timedOut: boolean): readonly PutEffect[] {
    return this.#answered ? NOTHING : this.#answer({ kind: 'unmet', timedOut })
  }

  #answer(effect: PutEffect): readonly PutEffect[] {
    this.#answered = true
    return [effect]
  }

  /** Whether the quorum can still be met if all goes well from here on. */
  #reachesQuorum(): boolean {
    const { newcomer, quorum } = this.#plan
    const left = this.#slots.filter(
      ({ state }) => state !== 'lost' && (state !== 'failed' || this.#record === undefined),
    )
    if (!canMeet(left, quorum)) return false
    return newcomer === undefined || canMeet(withoutNode(left, newcomer.node), newcomer.others)
  }
}

function nodesOf(slots: readonly Slot[]): readonly string[] {
  return slots.map(({ target }) => target.node)
}

function withoutNode(slots: readonly Slot[], node: string): readonly Slot[] {
  return slots.filter(({ target }) => target.node !== node)
}

function canMeet(slots: readonly Slot[], { w, dw, pw }: Pick<WriteQuorum, 'w' | 'dw' | 'pw'>): boolean {
  const primaries = slots.filter(({ target }) => target.role === 'primary').length
  return slots.length >= Math.max(w, dw) && primaries >= pw
}
