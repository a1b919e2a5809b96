import type { Random } from '@atoll/core'
import { type Digest, hasNewerFacts, type MemberStatus, mergeVerdict } from './digest.ts'
import { DocumentPulls } from './document-pulls.ts'
import type { GossipDecision, GossipEvent } from './events.ts'
import { type FactRequest, FactRequests } from './fact-requests.ts'
import { type Fact, Facts, type FactsDelta } from './facts.ts'
import type { FullGossipOptions } from './options.ts'
import { Own, type Refuted } from './own.ts'
import { Prober, type ProbeStep } from './prober.ts'
import { Rumours } from './rumours.ts'
import { Suspicions, suspicionTimes } from './suspicions.ts'
import { type Comparison, Teller } from './teller.ts'
import { Transitions } from './transitions.ts'
import { View } from './view.ts'

/** Incarnations start below this, so that they can be counted up for ever. */
const MAX_FIRST_INCARNATION = 2 ** 30

/**
 * What one node believes of the others, as a step machine: SWIM (Das, Gupta and Motivala, 2002) with the repairs of
 * Lifeguard (Dadgar, Phillips and Currey, 2017), facts with one writer each, and the version of one document. Events
 * say what happened and at what time, decisions what to do about it; `nextMs` is when it wants a tick.
 */
export class GossipMachine {
  readonly #random: Random
  readonly #options: FullGossipOptions
  readonly #view: View
  readonly #prober: Prober
  readonly #rumours = new Rumours()
  readonly #suspicions = new Suspicions()
  readonly #facts = new Facts()
  readonly #fetches: DocumentPulls
  readonly #own: Own
  readonly #requests = new FactRequests()
  readonly #teller: Teller
  readonly #transitions = new Transitions()
  #started = false
  #nowMs = 0
  #roundMs = Number.POSITIVE_INFINITY
  #exchangeMs = Number.POSITIVE_INFINITY
  #nextMs = Number.POSITIVE_INFINITY
  /** What should have happened before is due then: of one stall there is one report, whatever arrives before the tick. */
  #stallEndMs = Number.NEGATIVE_INFINITY
  #decisions: GossipDecision[] = []

  constructor(random: Random, options: FullGossipOptions) {
    this.#random = random
    this.#options = options
    this.#view = new View(random)
    this.#prober = new Prober(this.#view, options)
    this.#fetches = new DocumentPulls(options)
    this.#own = new Own(options.node, options.periodMs)
    const parts = { own: this.#own, view: this.#view, facts: this.#facts, rumours: this.#rumours }
    this.#teller = new Teller({ ...parts, options })
  }

  /** When the next tick is due, in ms of the clock that the events are timed by. */
  get nextMs(): number {
    return this.#nextMs
  }

  /** How much this node doubts its own health: 0 to `maxHealth`. */
  get health(): number {
    return this.#prober.health
  }

  get self(): Digest {
    return this.#own.digest
  }

  /** The other members. */
  members(): IterableIterator<Digest> {
    return this.#view.all()
  }

  isUp(node: string): boolean {
    if (node === this.self.node) return true
    const digest = this.#view.get(node)
    return digest !== undefined && digest.status !== 'dead' && this.#prober.isReachable(node)
  }

  /** As far as this node can tell: suspect is also who cannot be reached from here. Dead is also who is no member. */
  statusOf(node: string): MemberStatus {
    if (node === this.self.node) return 'alive'
    const status = this.#view.get(node)?.status ?? 'dead'
    return status === 'alive' && !this.#prober.isReachable(node) ? 'suspect' : status
  }

  factsOf(node: string): ReadonlyMap<string, Fact> {
    return this.#facts.of(node)
  }

  /** Whether the node is up for us, as far as it matters to the node: a stranger is not waited for. */
  sees(node: string): boolean {
    return this.#view.get(node) === undefined || this.isUp(node)
  }

  /** What goes with a message to `peer`. */
  newsFor(peer: string): readonly Digest[] {
    return this.#teller.newsFor(peer)
  }

  /** The answer to an exchange, once it has been heard: what this node knows better. */
  compare(theirs: readonly Digest[]): Comparison {
    return this.#teller.compare(theirs)
  }

  /** Throws for a fact that cannot be published; see `Gossip.publish`. */
  step(event: GossipEvent, nowMs: number): readonly GossipDecision[] {
    const decisions: GossipDecision[] = []
    this.#decisions = decisions
    this.#nowMs = nowMs
    if (event.kind !== 'start' && nowMs - this.#nextMs > this.#options.stallMs)
      this.#stalled(nowMs - this.#nextMs)
    this.#take(event)
    this.#report()
    this.#nextMs = Math.max(this.#stallEndMs, this.#dueMs())
    return decisions
  }

  #dueMs(): number {
    const [probesMs, suspicionsMs] = [this.#prober.nextMs, this.#suspicions.nextMs]
    return Math.min(this.#roundMs, this.#exchangeMs, probesMs, suspicionsMs, this.#own.nextMs)
  }

  #take(event: GossipEvent): void {
    switch (event.kind) {
      case 'start':
        this.#start()
        break
      case 'tick':
        this.#tick()
        break
      case 'members':
        this.#setMembers(event.names)
        break
      case 'heard':
        this.#heard(event.from, event.digests)
        break
      case 'answered':
        this.#answered(event.from, event.digests)
        break
      case 'refused':
        this.#follow(this.#prober.refused(event.probe, this.#nowMs))
        break
      case 'relayed':
        this.#follow(this.#prober.relayed(event.probe, event.via, event.outcome))
        break
      case 'disconnected':
        this.#disconnected(event.node)
        break
      case 'document':
        this.#setDocument(event.version)
        break
      case 'fetched':
        this.#fetches.ended(event.from, event.learned, this.#nowMs)
        break
      case 'publish':
        this.#publish(event.name, event.value)
        break
      case 'deltas':
        for (const delta of event.deltas) this.#apply(delta)
    }
  }

  /** A number that is likely to be new; if a former life was further, this one learns of it and goes beyond. */
  #start(): void {
    this.#started = false
    const { node, periodMs, exchangeMs, firstContacts } = this.#options
    const names = [...this.#view.all()].map((digest) => digest.node)
    this.#setMembers([])
    this.#setMembers(names)
    this.#own.begin(1 + this.#random.below(MAX_FIRST_INCARNATION), this.#facts.renumber(node))
    this.#started = true
    this.#roundMs = this.#nowMs + this.#random.below(periodMs)
    this.#exchangeMs = this.#nowMs + this.#random.below(exchangeMs)
    const greeted = this.#view.sample(firstContacts, () => true)
    for (const peer of greeted) this.#follow(this.#prober.probe(peer, 'greeting', this.#nowMs))
  }

  #tick(): void {
    const { periodMs, exchangeMs, maxDigests } = this.#options
    this.#follow(this.#prober.tick(this.#nowMs))
    this.#refuted(this.#own.refuteDue(this.#nowMs))
    for (const node of this.#suspicions.takeDue(this.#nowMs)) {
      const digest = this.#view.get(node)
      if (digest?.status === 'suspect') this.#judge(digest, { ...digest, status: 'dead', accusers: [] })
    }
    if (this.#roundMs <= this.#nowMs) {
      this.#roundMs = this.#nowMs + periodMs
      this.#askAgain()
      this.#follow(this.#prober.round(this.#nowMs))
    }
    if (this.#exchangeMs <= this.#nowMs) {
      this.#exchangeMs = this.#nowMs + exchangeMs
      const [peer] = this.#view.sample(1, ({ node }) => this.isUp(node))
      if (peer !== undefined) this.#exchange(peer, this.#view.window(maxDigests))
    }
  }

  #exchange(peer: string, digests: readonly Digest[]): void {
    this.#decisions.push({ kind: 'exchange', with: peer, digests: [this.self, ...digests] })
  }

  /** What did not happen meanwhile says nothing of the others, but something of this node. */
  #stalled(lateMs: number): void {
    const { periodMs, probeTimeoutMs } = this.#options
    this.#decisions.push({ kind: 'stalled', lateMs })
    this.#stallEndMs = this.#nowMs
    this.#prober.doubt(1)
    this.#follow(this.#prober.discard())
    this.#suspicions.postpone(lateMs + 2 * probeTimeoutMs)
    this.#roundMs = this.#nowMs + this.#random.below(periodMs)
  }

  #setMembers(names: readonly string[]): void {
    const others = new Set(names)
    others.delete(this.self.node)
    const { came, went } = this.#view.setMembers(others)
    for (const node of went) this.#forget(node)
    if (!this.#started) return
    for (const node of came) this.#follow(this.#prober.probe(node, 'turn', this.#nowMs))
  }

  #forget(node: string): void {
    this.#prober.forget(node)
    this.#rumours.forget(node)
    this.#suspicions.clear(node)
    this.#facts.forget(node)
    this.#requests.end(node)
    this.#teller.forget(node)
    this.#transitions.forget(node)
  }

  /** What got lost is asked for again. */
  #askAgain(): void {
    this.#fetches.forgetOld(this.#nowMs)
    const untilMs = this.#nowMs + this.#options.periodMs
    for (const request of this.#requests.overdue(this.#nowMs, untilMs)) this.#ask(request)
  }

  #answered(from: string, digests: readonly Digest[]): void {
    this.#touch(from)
    this.#follow(this.#prober.answered(from))
    this.#hear(from, digests)
  }

  /** Somebody speaks to this node: if it was thought to be away, it is worth a question. */
  #heard(from: string, digests: readonly Digest[]): void {
    this.#hear(from, digests)
    if (this.#view.get(from) === undefined || this.isUp(from) || !this.#started) return
    const purpose = this.#view.dead.has(from) ? 'knock' : 'turn'
    this.#follow(this.#prober.probe(from, purpose, this.#nowMs))
  }

  #hear(from: string, digests: readonly Digest[]): void {
    const wanted: string[] = []
    for (const digest of digests) {
      if (digest.node === from) this.#perhapsFetch(from, digest.documentVersion)
      if (digest.node === this.self.node) {
        this.#hearOfSelf(digest)
        continue
      }
      const before = this.#view.get(digest.node)
      if (before === undefined) continue
      if (this.#hearOfFacts(this.#judge(before, digest), digest)) wanted.push(digest.node)
      if (digest.node === from) this.#teller.hearOfItself(digest)
    }
    if (wanted.length === 0) return
    const nodes = this.#requests.begin({ peer: from, nodes: wanted }, this.#nowMs + this.#options.periodMs)
    this.#ask({ peer: from, nodes })
  }

  /** Tells everybody better, and this node to doubt itself if it was accused. */
  #hearOfSelf(claim: Digest): void {
    if (!this.#started) return
    if (hasNewerFacts(claim, this.self)) this.#own.beginAfter(claim, this.#facts.renumber(claim.node))
    this.#refuted(this.#own.refute(claim, this.#nowMs))
  }

  #refuted(refuted: Refuted): void {
    if (refuted === 'nothing') return
    if (refuted === 'accusation') this.#prober.doubt(1)
    this.#decisions.push({ kind: 'refuted', incarnation: this.self.incarnation })
    this.#tellSome()
  }

  /** Takes over a verdict if it wins, and spreads it; answers what is known now. */
  #judge(before: Digest, claim: Digest): Digest {
    const after = mergeVerdict(before, claim)
    if (after === before) return before
    const { node, incarnation, status } = after
    this.#view.put(after)
    this.#transitions.touch(node)
    // That a node which everybody takes for alive is alive is no news: a cluster that starts would be full of it.
    if (before.incarnation > 0 || status !== 'alive') this.#rumours.verdict(node)
    if (status === 'suspect') {
      const times = suspicionTimes(this.#view.size + 1, this.#options)
      const accusers = after.accusers.length
      this.#suspicions.accuse({ node, incarnation, accusers }, { nowMs: this.#nowMs, times })
      return after
    }
    this.#suspicions.clear(node)
    if (status === 'dead' || before.status === 'alive') return after
    if (before.status === 'suspect') this.#decisions.push({ kind: 'false-alarm', node })
    if (this.#prober.hasMissed(node)) this.#follow(this.#prober.probe(node, 'turn', this.#nowMs))
    return after
  }

  /** True if there are facts to be asked for. */
  #hearOfFacts(mine: Digest, theirs: Digest): boolean {
    const { generation, counter, documentVersion } = theirs
    if (generation > mine.generation && counter === 0) {
      for (const name of this.#facts.of(mine.node).keys())
        this.#decisions.push({ kind: 'fact', node: mine.node, name })
      this.#facts.forget(mine.node)
      this.#view.put({ ...mine, generation, counter, documentVersion })
      if (mine.generation > 0) this.#rumours.facts(mine.node)
      return false
    }
    if (generation === mine.generation && documentVersion > mine.documentVersion)
      this.#view.put({ ...mine, documentVersion })
    return hasNewerFacts(theirs, mine)
  }

  /** Who tells that there is news has it. */
  #ask({ peer, nodes }: FactRequest): void {
    const digests = nodes.flatMap((node) => this.#view.get(node) ?? [])
    if (digests.length > 0) this.#exchange(peer, digests)
  }

  #apply(delta: FactsDelta): void {
    const { node, generation, upTo: counter } = delta
    const mine = this.#view.get(node)
    if (mine === undefined) return
    const names = this.#facts.apply(mine, delta, this.#options)
    if (names === undefined) return
    this.#requests.end(node)
    const documentVersion = generation === mine.generation ? mine.documentVersion : 0
    this.#view.put({ ...mine, generation, counter, documentVersion })
    this.#rumours.facts(node)
    for (const name of names) this.#decisions.push({ kind: 'fact', node, name })
  }

  #publish(name: string, value: Uint8Array): void {
    const { node, counter } = this.self
    this.#facts.publish(node, { name, counter: counter + 1, value }, this.#options)
    this.#own.published()
    this.#decisions.push({ kind: 'fact', node, name })
  }

  #disconnected(node: string): void {
    if (!this.#started || this.#view.get(node) === undefined || this.#view.dead.has(node)) return
    this.#prober.lose(node)
    this.#transitions.touch(node)
    this.#follow(this.#prober.probe(node, 'turn', this.#nowMs))
  }

  #setDocument(version: number): void {
    if (this.#own.documentIs(version) && this.#started) this.#tellSome()
  }

  #perhapsFetch(from: string, version: number): void {
    if (!this.#started || version <= this.self.documentVersion) return
    if (this.#fetches.begin(from, this.#nowMs)) this.#decisions.push({ kind: 'fetch', from, version })
  }

  #tellSome(): void {
    for (const to of this.#view.sample(this.#options.fanout, ({ node }) => this.isUp(node)))
      this.#decisions.push({ kind: 'tell', to })
  }

  #follow(steps: readonly ProbeStep[]): void {
    for (const step of steps) {
      this.#decisions.push(step)
      if (step.kind === 'ping') this.#touch(step.to)
      if (step.kind !== 'probed') continue
      this.#touch(step.node)
      if (step.outcome === 'failed') this.#accuse(step.node)
    }
  }

  #touch(node: string): void {
    if (this.#view.get(node) !== undefined) this.#transitions.touch(node)
  }

  #accuse(node: string): void {
    const digest = this.#view.get(node)
    if (digest === undefined || digest.status === 'dead') return
    this.#judge(digest, { ...digest, status: 'suspect', accusers: [this.self.node] })
  }

  #report(): void {
    const conditionOf = (node: string) => ({ status: this.statusOf(node), up: this.isUp(node) })
    this.#decisions.push(...this.#transitions.take(conditionOf))
  }
}
