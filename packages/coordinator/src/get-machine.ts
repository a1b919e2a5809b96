import { type MergePolicy, mergeRecords, recordsEqual, type StoredRecord } from '@atoll/causality'
import type { AtollError } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import type { NodesInUse } from './preference.ts'
import type { ReadQuorum } from './quorum.ts'
import { isUnable } from './unable.ts'

export type GetEvent =
  | { readonly kind: 'found'; readonly at: number; readonly record: StoredRecord }
  | { readonly kind: 'missing' | 'corrupt'; readonly at: number }
  | { readonly kind: 'failed'; readonly at: number; readonly error: AtollError }
  | { readonly kind: 'timeout' }

export type GetEffect =
  /** One more than those of the plan, in place of one that is unable. */
  | { readonly kind: 'ask'; readonly at: number; readonly target: PreferenceEntry }
  /** The read is over for the caller; no record means that the key is absent. */
  | { readonly kind: 'answer'; readonly record: StoredRecord | undefined }
  | { readonly kind: 'unmet'; readonly timedOut: boolean }
  /** Read repair: the replica `at` answered and is behind. */
  | { readonly kind: 'repair'; readonly at: number; readonly record: StoredRecord }

/** How many replicas answered what. */
export interface ReadTally {
  readonly found: number
  readonly missing: number
  readonly corrupt: number
  readonly failed: number
  readonly waiting: number
  /** Primaries among those that count towards r. */
  readonly primaries: number
}

export interface GetPlan {
  /** All are asked at the start, and all are heard to the end. */
  readonly targets: readonly PreferenceEntry[]
  readonly quorum: ReadQuorum
  readonly policy: MergePolicy
  /** Whether the answer waits for all targets. */
  readonly repair: boolean
  /** Who stands in for a node that turned out to be unable, and is not in use yet. */
  readonly spareFor: (lost: PreferenceEntry, use: NodesInUse) => PreferenceEntry | undefined
}

const NOTHING: readonly GetEffect[] = []

/**
 * One read: Riak's get (riak_kv_get_core), with three of its faults repaired. "I have none" from a fallback ends no read
 * while a primary may still know better. An answer that comes after the caller was served takes part in the repair. And
 * where those that were asked cannot give r answers any more, since nodes died that nobody knew to be dead, the fallbacks
 * are asked that writes of this moment go to.
 *
 * A corrupt replica counts as a failure: it is no evidence of anything.
 */
export class GetMachine {
  readonly #plan: GetPlan
  readonly #targets: PreferenceEntry[]
  readonly #answers: (StoredRecord | 'missing' | 'corrupt' | AtollError | undefined)[]
  #merged: StoredRecord | undefined
  #found = 0
  #missing = 0
  #corrupt = 0
  #failed = 0
  /** Places of those that are unable, and that nobody was asked for instead. */
  #lost: number[] = []
  #unable: Set<string> | undefined
  /** How many of those that failed a spare was asked for. */
  #replaced = 0
  #foundPrimaries = 0
  #missingPrimaries = 0
  #waiting: number
  #waitingPrimaries: number
  #answered = false
  #finished = false

  constructor(plan: GetPlan) {
    this.#plan = plan
    this.#targets = [...plan.targets]
    this.#answers = new Array(plan.targets.length)
    this.#waiting = plan.targets.length
    this.#waitingPrimaries = 0
    for (const target of plan.targets) if (target.role === 'primary') this.#waitingPrimaries += 1
  }

  step(event: GetEvent): readonly GetEffect[] {
    if (this.#finished) return NOTHING
    const timedOut = event.kind === 'timeout'
    if (!timedOut) this.#take(event)
    const asks = timedOut ? NOTHING : this.#askSpares()
    const decision = this.#answered ? undefined : this.#decide(timedOut)
    if (decision !== undefined) this.#answered = true
    this.#finished = timedOut || this.#waiting === 0
    const repairs = this.#finished ? this.#repairs() : NOTHING
    if (decision === undefined) return asks.length === 0 ? repairs : asks
    return [...asks, decision, ...repairs]
  }

  tally(): ReadTally {
    return {
      found: this.#found,
      missing: this.#missing,
      corrupt: this.#corrupt,
      failed: this.#failed,
      waiting: this.#waiting,
      primaries: this.#okPrimaries,
    }
  }

  /** What the replicas answered that failed. */
  errors(): readonly AtollError[] {
    return this.#answers.filter((answer) => answer instanceof Error)
  }

  get #ok(): number {
    return this.#plan.quorum.notfoundOk ? this.#found + this.#missing : this.#found
  }

  /** Those that failed with nobody in their place, and those that are corrupt. */
  get #against(): number {
    return this.#failed - this.#replaced + this.#corrupt
  }

  get #okPrimaries(): number {
    const { notfoundOk } = this.#plan.quorum
    return notfoundOk ? this.#foundPrimaries + this.#missingPrimaries : this.#foundPrimaries
  }

  #take(event: Exclude<GetEvent, { kind: 'timeout' }>): void {
    const primary = this.#targets[event.at]?.role === 'primary'
    this.#waiting -= 1
    if (primary) this.#waitingPrimaries -= 1
    switch (event.kind) {
      case 'found':
        this.#found += 1
        if (primary) this.#foundPrimaries += 1
        this.#merge(event.record)
        this.#answers[event.at] = event.record
        return
      case 'missing':
        this.#missing += 1
        if (primary) this.#missingPrimaries += 1
        this.#answers[event.at] = 'missing'
        return
      case 'corrupt':
        this.#corrupt += 1
        this.#answers[event.at] = 'corrupt'
        return
      case 'failed':
        this.#failed += 1
        this.#answers[event.at] = event.error
        if (isUnable(event.error)) this.#lost.push(event.at)
    }
  }

  /** Only where the read would fail without them: a fallback knows little, and is asked by one hop more. */
  #askSpares(): readonly GetEffect[] {
    const { sloppy, r, pr, notfoundOk } = this.#plan.quorum
    if (this.#answered || !sloppy || this.#lost.length === 0 || !this.#hopeless()) return NOTHING
    if (notfoundOk && this.#ok + this.#waiting + this.#lost.length < r) return NOTHING
    if (this.#okPrimaries + this.#waitingPrimaries < pr) return NOTHING
    const lost = this.#lost.sort((a, b) => a - b).map((at) => this.#targets[at])
    this.#lost = []
    this.#unable ??= new Set()
    for (const entry of lost) if (entry !== undefined) this.#unable.add(entry.node)
    return lost.flatMap((entry) => (entry === undefined ? [] : this.#askSpare(entry)))
  }

  #askSpare(lost: PreferenceEntry): readonly GetEffect[] {
    const { n } = this.#plan.quorum
    const unable = this.#unable ?? new Set()
    const tried = new Set(this.#targets.map(({ node }) => node))
    const target = this.#replaced < n ? this.#plan.spareFor(lost, { unable, tried }) : undefined
    if (target === undefined) return NOTHING
    this.#replaced += 1
    this.#waiting += 1
    this.#targets.push(target)
    return [{ kind: 'ask', at: this.#targets.length - 1, target }]
  }

  /** Most replicas hold the same, so that equality is asked first. */
  #merge(record: StoredRecord): void {
    const merged = this.#merged
    if (merged === undefined) this.#merged = record
    else if (!recordsEqual(merged, record)) this.#merged = mergeRecords(this.#plan.policy, merged, record)
  }

  #decide(timedOut: boolean): GetEffect | undefined {
    const { r, pr } = this.#plan.quorum
    if (this.#plan.repair && this.#waiting > 0 && !timedOut) return undefined
    const met = this.#ok >= r && this.#okPrimaries >= pr
    if (this.#merged !== undefined && met) return { kind: 'answer', record: this.#merged }
    if (this.#merged === undefined && (met || this.#noneAtAll()) && this.#absenceIsSure(timedOut))
      return { kind: 'answer', record: undefined }
    if (timedOut) return { kind: 'unmet', timedOut }
    return this.#hopeless() && !this.#mayStillBeAbsent() ? { kind: 'unmet', timedOut } : undefined
  }

  /** With notfoundOk off, r can never be met where there is nothing: then all that answered must agree on it. */
  #noneAtAll(): boolean {
    const { notfoundOk, pr } = this.#plan.quorum
    return !notfoundOk && this.#against === 0 && this.#missingPrimaries >= pr && this.#hopeless()
  }

  /**
   * Whether no reachable primary can still know better. When time is over a silent primary might have: then the word
   * of r other primaries is needed. A reader that asked for basicQuorum is content with a majority.
   */
  #absenceIsSure(timedOut: boolean): boolean {
    const { n, r, basicQuorum, notfoundOk } = this.#plan.quorum
    if (this.#waitingPrimaries === 0) return notfoundOk || this.#waiting === 0 || basicQuorum
    if (basicQuorum && this.#missingPrimaries > n / 2) return true
    return timedOut && notfoundOk && this.#missingPrimaries >= r
  }

  /** Whether the quorum cannot be met any more, or, with basicQuorum, a majority speaks against it. */
  #hopeless(): boolean {
    const { n, r, pr, basicQuorum, notfoundOk } = this.#plan.quorum
    if (this.#ok + this.#waiting < r || this.#okPrimaries + this.#waitingPrimaries < pr) return true
    const against = this.#against + (notfoundOk ? 0 : this.#missing)
    return basicQuorum && against > n / 2
  }

  /** Without notfoundOk, "I have none" alone does not fail a read before everyone was heard. */
  #mayStillBeAbsent(): boolean {
    const { notfoundOk, pr } = this.#plan.quorum
    if (notfoundOk || this.#found + this.#against > 0 || this.#waiting === 0) return false
    return this.#missingPrimaries + this.#waitingPrimaries >= pr
  }

  /** Fallbacks are not repaired: a fresh one has nothing, and every read of every key would fill it (Riak's trap). */
  #repairs(): readonly GetEffect[] {
    const record = this.#merged
    if (record === undefined) return NOTHING
    let repairs: GetEffect[] | undefined
    for (let at = 0; at < this.#answers.length; at++) {
      const answer = this.#answers[at]
      if (answer === undefined || answer instanceof Error || this.#targets[at]?.role !== 'primary') continue
      if (typeof answer === 'object' && (answer === record || recordsEqual(answer, record))) continue
      repairs ??= []
      repairs.push({ kind: 'repair', at, record })
    }
    return repairs ?? NOTHING
  }
}
