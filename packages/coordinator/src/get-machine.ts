import { type MergePolicy, mergeRecords, recordsEqual, type StoredRecord } from '@atoll/causality'
import type { AtollError } from '@atoll/core'
import { isError } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { countsAsEvidence } from './evidence.ts'
import type { NodesInUse } from './preference.ts'
import type { ReadQuorum } from './quorum.ts'
import { isUnable } from './unable.ts'

export type GetEvent =
  | { readonly kind: 'found'; readonly at: number; readonly record: StoredRecord }
  | { readonly kind: 'missing' | 'corrupt'; readonly at: number }
  | { readonly kind: 'failed'; readonly at: number; readonly error: AtollError }
  /** Those that have not answered by now are given up: the others shall do without them, if they can. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'timeout' }

export type GetEffect =
  /** One more than those of the plan, in place of one that is unable or silent. */
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
  /** Those that have answered, and count for nothing since their data is an older copy. */
  readonly behind: number
  readonly waiting: number
  /** Primaries among those that count towards r. */
  readonly primaries: number
}

/** A replica that did not serve a request; without an error, one that has not answered. */
export interface Failure {
  readonly node: string
  readonly error: AtollError | undefined
}

export interface GetPlan {
  /** All are asked at the start, and all are heard to the end. */
  readonly targets: readonly PreferenceEntry[]
  readonly quorum: ReadQuorum
  readonly policy: MergePolicy
  /** Whether the answer waits for all targets. */
  readonly repair: boolean
  /** Whether the record has what the reader looks for. One that has not is as good as none, and takes as much evidence. */
  readonly shows: (record: StoredRecord) => boolean
  /** Who stands in for a node that turned out to be unable, and is not in use yet. */
  readonly spareFor: (lost: PreferenceEntry, use: NodesInUse) => PreferenceEntry | undefined
}

const NOTHING: readonly GetEffect[] = []

/**
 * One read: Riak's get (riak_kv_get_core), with four of its faults repaired. Unless the reader is content with `any`,
 * it takes the word of r primaries that there is nothing, or nothing that shows: a fallback's "I have none" proves
 * nothing. And it ends no read while a primary may still know better that is not silent. An answer that comes after the
 * caller was served takes part in the repair. And where those that were asked cannot give the answer any more, since
 * nodes died that nobody knew to be dead, the fallbacks are asked that writes of this moment go to. A corrupt replica
 * counts as a failure: it is no evidence of anything. Nor is one whose data is an older copy, but what it has is
 * merged.
 */
export class GetMachine {
  readonly #plan: GetPlan
  readonly #targets: PreferenceEntry[]
  readonly #answers: (StoredRecord | 'missing' | 'corrupt' | AtollError | undefined)[]
  #merged: StoredRecord | undefined
  #found = 0
  #missing = 0
  #corrupt = 0
  #behind = 0
  #failed = 0
  /** Places of those that are unable or silent, and that nobody was asked for instead. */
  #lost: number[] = []
  #unable: Set<string> | undefined
  /** Places of those that a spare was asked for. */
  readonly #replaced = new Set<number>()
  /** How many failed with nobody in their place. */
  #bereft = 0
  #foundPrimaries = 0
  #missingPrimaries = 0
  /** Those whose word counts for absence: that have something, and that have nothing. */
  #foundEvidence = 0
  #missingEvidence = 0
  #waiting: number
  #waitingPrimaries: number
  /** Places of those among the waiting that were given up. */
  readonly #silent = new Set<number>()
  #silentPrimaries = 0
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
    if (event.kind === 'silence') this.#giveUp()
    else if (event.kind !== 'timeout') this.#take(event)
    const asks = timedOut ? NOTHING : this.#askSpares()
    const decision = this.#answered ? undefined : this.#decide(timedOut)
    if (decision !== undefined) this.#answered = true
    this.#finished = timedOut || this.#waiting === 0 || (this.#plan.repair && this.#answered)
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
      behind: this.#behind,
      waiting: this.#waiting,
      primaries: this.#okPrimaries,
    }
  }

  /** Who failed, and who has not answered. */
  failures(): readonly Failure[] {
    return this.#targets.flatMap(({ node }, at): Failure[] => {
      const answer = this.#answers[at]
      if (answer === undefined) return [{ node, error: undefined }]
      return isError(answer) ? [{ node, error: answer }] : []
    })
  }

  /** Whether every primary was heard, none has it whole, and one has it damaged. */
  isCorrupt(): boolean {
    const heard = this.#targets.filter((target, at) => {
      const answer = this.#answers[at]
      return countsAsEvidence(target) && (answer === 'missing' || answer === 'corrupt')
    })
    return this.#corrupt > 0 && heard.length >= this.#plan.quorum.n
  }

  get #ok(): number {
    return this.#plan.quorum.notfoundOk ? this.#found + this.#missing : this.#found
  }

  /** Those that failed with nobody in their place, and those that are corrupt or behind. */
  get #against(): number {
    return this.#bereft + this.#corrupt + this.#behind
  }

  /** Those that may be expected to answer. */
  get #awaited(): number {
    return this.#waiting - this.#silent.size
  }

  get #awaitedPrimaries(): number {
    return this.#waitingPrimaries - this.#silentPrimaries
  }

  get #okPrimaries(): number {
    const { notfoundOk } = this.#plan.quorum
    return notfoundOk ? this.#foundPrimaries + this.#missingPrimaries : this.#foundPrimaries
  }

  #giveUp(): void {
    for (const [at, { role }] of this.#targets.entries()) {
      if (this.#answers[at] !== undefined || this.#silent.has(at)) continue
      this.#silent.add(at)
      if (role === 'primary') this.#silentPrimaries += 1
      this.#lost.push(at)
    }
  }

  #take(event: Exclude<GetEvent, { kind: 'silence' | 'timeout' }>): void {
    const target = this.#targets[event.at]
    const primary = target?.role === 'primary'
    const evidence = target !== undefined && countsAsEvidence(target)
    const wasSilent = this.#silent.delete(event.at)
    this.#waiting -= 1
    if (primary) this.#waitingPrimaries -= 1
    if (primary && wasSilent) this.#silentPrimaries -= 1
    if (target?.isBehind && event.kind !== 'failed') {
      this.#behind += 1
      if (event.kind === 'found') this.#merge(event.record)
      this.#answers[event.at] = event.kind === 'found' ? event.record : event.kind
      return
    }
    switch (event.kind) {
      case 'found':
        this.#found += 1
        if (primary) this.#foundPrimaries += 1
        if (evidence) this.#foundEvidence += 1
        this.#merge(event.record)
        this.#answers[event.at] = event.record
        return
      case 'missing':
        this.#missing += 1
        if (primary) this.#missingPrimaries += 1
        if (evidence) this.#missingEvidence += 1
        this.#answers[event.at] = 'missing'
        return
      case 'corrupt':
        this.#corrupt += 1
        this.#answers[event.at] = 'corrupt'
        return
      case 'failed':
        this.#failed += 1
        if (!this.#replaced.has(event.at)) this.#bereft += 1
        this.#answers[event.at] = event.error
        if (isUnable(event.error) && !wasSilent) this.#lost.push(event.at)
    }
  }

  /** Only where the read would fail without them: a fallback knows little, and is asked by one hop more. */
  #askSpares(): readonly GetEffect[] {
    const { sloppy, r, pr, notfoundOk } = this.#plan.quorum
    if (this.#answered || !sloppy || this.#lost.length === 0) return NOTHING
    if (!this.#hopeless(this.#awaited, this.#awaitedPrimaries) && !this.#isStuck()) return NOTHING
    if (notfoundOk && this.#ok + this.#awaited + this.#lost.length < r) return NOTHING
    if (this.#okPrimaries + this.#waitingPrimaries < pr) return NOTHING
    const lost = this.#lost.sort((a, b) => a - b)
    this.#lost = []
    this.#unable ??= new Set()
    for (const at of lost) this.#unable.add(this.#targets[at]?.node ?? '')
    return lost.flatMap((at) => this.#askSpare(at))
  }

  /** Whether everyone who may be expected to was heard, and that is not enough. */
  #isStuck(): boolean {
    return this.#awaited === 0 && this.#decide(false)?.kind !== 'answer'
  }

  #askSpare(at: number): readonly GetEffect[] {
    const lost = this.#targets[at]
    const unable = this.#unable ?? new Set()
    const tried = new Set(this.#targets.map(({ node }) => node))
    const isRoom = this.#replaced.size < this.#plan.quorum.n
    const target = lost !== undefined && isRoom ? this.#plan.spareFor(lost, { unable, tried }) : undefined
    if (target === undefined) return NOTHING
    this.#replaced.add(at)
    if (this.#answers[at] !== undefined) this.#bereft -= 1
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
    if (this.#plan.repair && this.#awaited > 0 && !timedOut) return undefined
    const met = this.#ok >= r && this.#okPrimaries >= pr
    const record = this.#merged
    if (record === undefined) {
      if ((met || this.#noneAtAll()) && this.#absenceIsSure(timedOut)) return { kind: 'answer', record }
    } else if (met && (this.#isEvidenced() || this.#plan.shows(record))) return { kind: 'answer', record }
    if (timedOut || this.#waiting === 0) return { kind: 'unmet', timedOut }
    const isHopeless = this.#hopeless(this.#waiting, this.#waitingPrimaries)
    const isOver = isHopeless && !this.#mayStillBeAbsent() && !this.#mayBeCorrupt()
    return isOver ? { kind: 'unmet', timedOut } : undefined
  }

  /** Whether those who are still awaited may make it certain that nobody has a sound copy. */
  #mayBeCorrupt(): boolean {
    return this.#corrupt > 0 && this.#found + this.#failed === 0 && this.#awaited > 0
  }

  /** With notfoundOk off, r can never be met where there is nothing: then all that answered must agree on it. */
  #noneAtAll(): boolean {
    const { notfoundOk, pr } = this.#plan.quorum
    if (notfoundOk || this.#against > 0 || this.#missingPrimaries < pr) return false
    return this.#hopeless(this.#awaited, this.#awaitedPrimaries)
  }

  /** Whether those were heard without whom nobody knows that there is nothing else. */
  #isEvidenced(): boolean {
    const { r, absence } = this.#plan.quorum
    return absence === 'any' || this.#foundEvidence + this.#missingEvidence >= r
  }

  /**
   * Whether no primary that is not silent can still know better. When time is over a silent primary might have: then the
   * word of r other primaries is needed. A reader that asked for basicQuorum is content with a majority.
   */
  #absenceIsSure(timedOut: boolean): boolean {
    const { n, r, basicQuorum, notfoundOk } = this.#plan.quorum
    if (!this.#isEvidenced()) return false
    if (this.#awaitedPrimaries === 0) return notfoundOk || this.#awaited === 0 || basicQuorum
    if (basicQuorum && this.#missingPrimaries > n / 2) return true
    return timedOut && notfoundOk && this.#missingPrimaries >= r
  }

  /** Whether so many that may still answer cannot meet the quorum, or, with basicQuorum, a majority speaks against it. */
  #hopeless(waiting: number, waitingPrimaries: number): boolean {
    const { n, r, pr, basicQuorum, notfoundOk } = this.#plan.quorum
    if (this.#ok + waiting < r || this.#okPrimaries + waitingPrimaries < pr) return true
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
      if (answer === undefined || isError(answer) || this.#targets[at]?.role !== 'primary') continue
      if (typeof answer === 'object' && (answer === record || recordsEqual(answer, record))) continue
      repairs ??= []
      repairs.push({ kind: 'repair', at, record })
    }
    return repairs ?? NOTHING
  }
}
