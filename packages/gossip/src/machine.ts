import type { Random } from '@atoll/core'
import {
  compareVerdicts,
  type Digest,
  hasNewerFacts,
  isNews,
  type MemberStatus,
  mergeVerdict,
  newcomer,
} from './digest.ts'
import { DocumentPulls } from './document-pulls.ts'
import type { GossipDecision, GossipEvent } from './events.ts'
import { type Fact, Facts, type FactsDelta } from './facts.ts'
import type { FullGossipOptions } from './options.ts'
import { Prober, type ProbeStep } from './prober.ts'
import { Rumours } from './rumours.ts'
import { Suspicions, suspicionTimes } from './suspicions.ts'
import { Transitions } from './transitions.ts'
import { View } from './view.ts'

/** Incarnations start below this, so that they can be counted up for ever. */
const MAX_FIRST_INCARNATION = 2 ** 30

/**
 * What one node believes of the others, as a step machine: SWIM (Das, Gupta and Motivala, 2002) with the repairs of Lifeguard
 * (Dadgar, Phillips and Currey, 2017), facts with one writer each, and the version of one document. Events say what happened
 * and at what time, decisions what to do about it; `nextMs` is when it wants a tick.
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
  #self: Digest
  #started = false
  #nowMs = 0
  #roundMs = Number.POSITIVE_INFINITY
  #exchangeMs = Number.POSITIVE_INFINITY
  #nextMs = Number.POSITIVE_INFINITY
  /** Whose facts were asked for, and until when nobody else is asked. */
  readonly #asked = new Map<string, number>()
  /** Those who have to be told what is said of them: they speak as if they did not know it. */
  readonly #unaware = new Set<string>()
  readonly #transitions = new Transitions()
  #decisions: GossipDecision[] = []

  constructor(random: Random, options: FullGossipOptions) {
    this.#random = random
    this.#options = options
    this.#view = new View(random)
    this.#prober = new Prober(this.#view, options)
    this.#fetches = new DocumentPulls(options)
    this.#self = newcomer(options.node)
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
    return this.#self
  }

  /** The other members. */
  members(): IterableIterator<Digest> {
    return this.#view.all()
  }

  isUp(node: string): boolean {
    if (node === this.#self.node) return true
    const digest = this.#view.get(node)
    return digest !== undefined && digest.status !== 'dead' && this.#prober.isReachable(node)
  }

  /** As far as this node can tell: suspect is also who cannot be reached from here. Dead is also who is no member. */
  statusOf(node: string): MemberStatus {
    if (node === this.#self.node) return 'alive'
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

  /** What goes with a message to `peer`: this node, what is said of the peer itself, and some of the news. */
  newsFor(peer: string): readonly Digest[] {
    const { maxRumours, rumourMultiplier } = this.#options
    const times = Math.ceil(rumourMultiplier * Math.log2(this.#view.size + 2))
    const digests: Digest[] = [this.#self]
    const claim = this.#view.get(peer)
    const isClaimed = claim !== undefined && (claim.status !== 'alive' || this.#unaware.has(peer))
    if (isClaimed) digests.push(claim)
    for (const node of this.#rumours.take(maxRumours, times)) {
      const digest = this.#view.get(node)
      if (digest !== undefined && node !== peer) digests.push(digest)
    }
    return digests
  }

  /** The answer to an exchange, once it has been heard: what this node knows better. */
  compare(theirs: readonly Digest[]): { readonly digests: readonly Digest[]; readonly deltas: FactsDelta[] } {
    const digests: Digest[] = [this.#self]
    const deltas: FactsDelta[] = []
    let bytes = this.#options.maxExchangeBytes
    for (const their of theirs) {
      const mine = this.#digestOf(their.node)
      if (mine === undefined) continue
      if (mine !== this.#self && isNews(mine, their)) digests.push(mine)
      if (!hasNewerFacts(mine, their)) continue
      const delta = this.#facts.delta(mine, their, bytes)
      if (delta === undefined) continue
      deltas.push(delta)
      bytes -= delta.facts.reduce((sum, { value }) => sum + value.length, 0)
    }
    return { digests, deltas }
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
    this.#nextMs = Math.min(this.#roundMs, this.#exchangeMs, this.#prober.nextMs, this.#suspicions.nextMs)
    return decisions
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
    const incarnation = 1 + this.#random.below(MAX_FIRST_INCARNATION)
    const counter = this.#facts.renumber(node)
    this.#self = { ...this.#self, incarnation, generation: incarnation, counter }
    this.#started = true
    this.#roundMs = this.#nowMs + this.#random.below(periodMs)
    this.#exchangeMs = this.#nowMs + this.#random.below(exchangeMs)
    const greeted = this.#view.sample(firstContacts, () => true)
    for (const peer of greeted) this.#follow(this.#prober.probe(peer, 'greeting', this.#nowMs))
  }

  #tick(): void {
    const { periodMs, exchangeMs, maxDigests } = this.#options
    this.#follow(this.#prober.tick(this.#nowMs))
    for (const node of this.#suspicions.takeDue(this.#nowMs)) {
      const digest = this.#view.get(node)
      if (digest?.status === 'suspect') this.#judge({ ...digest, status: 'dead', accusers: [] })
    }
    if (this.#roundMs <= this.#nowMs) {
      this.#roundMs = this.#nowMs + periodMs
      this.#forgetOld()
      this.#follow(this.#prober.round(this.#nowMs))
    }
    if (this.#exchangeMs <= this.#nowMs) {
      this.#exchangeMs = this.#nowMs + exchangeMs
      const [peer] = this.#view.sample(1, ({ node }) => this.isUp(node))
      if (peer !== undefined) this.#exchange(peer, this.#view.window(maxDigests))
    }
  }

  #exchange(peer: string, digests: readonly Digest[]): void {
    this.#decisions.push({ kind: 'exchange', with: peer, digests: [this.#self, ...digests] })
  }

  /** What did not happen meanwhile says nothing of the others, but something of this node. */
  #stalled(lateMs: number): void {
    const { periodMs, probeTimeoutMs } = this.#options
    this.#decisions.push({ kind: 'stalled', lateMs })
    this.#prober.doubt(1)
    this.#follow(this.#prober.discard())
    this.#suspicions.postpone(lateMs + 2 * probeTimeoutMs)
    this.#roundMs = this.#nowMs + this.#random.below(periodMs)
  }

  #setMembers(names: readonly string[]): void {
    const others = new Set(names)
    others.delete(this.#self.node)
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
    this.#asked.delete(node)
    this.#unaware.delete(node)
    this.#transitions.forget(node)
  }

  #forgetOld(): void {
    this.#fetches.forgetOld(this.#nowMs)
    for (const [node, untilMs] of this.#asked) if (untilMs <= this.#nowMs) this.#asked.delete(node)
  }

  #answered(from: string, digests: readonly Digest[]): void {
    if (this.#view.get(from) !== undefined) this.#transitions.touch(from)
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
    const wanted: Digest[] = []
    for (const digest of digests) {
      if (digest.node === from) this.#perhapsFetch(from, digest.documentVersion)
      if (digest.node === this.#self.node) {
        this.#hearOfSelf(digest)
        continue
      }
      if (this.#view.get(digest.node) === undefined) continue
      this.#judge(digest)
      if (this.#hearOfFacts(digest)) wanted.push(digest)
      if (digest.node === from) this.#compareWithItself(digest)
    }
    if (wanted.length > 0) this.#askFor(from, wanted)
  }

  /** A process that was started anew knows nothing of its former life until it is told. */
  #compareWithItself(itself: Digest): void {
    const mine = this.#view.get(itself.node)
    if (mine !== undefined && (compareVerdicts(mine, itself) > 0 || hasNewerFacts(mine, itself)))
      this.#unaware.add(itself.node)
    else this.#unaware.delete(itself.node)
  }

  /** Nobody but this node counts up its numbers. Who says more speaks of a former life, and is outdone. */
  #hearOfSelf(claim: Digest): void {
    const mine = this.#self
    if (!this.#started) return
    if (hasNewerFacts(claim, mine)) {
      const counter = this.#facts.renumber(mine.node)
      this.#self = { ...mine, generation: claim.generation + 1, counter }
    }
    if (compareVerdicts(claim, mine) <= 0) return
    if (claim.incarnation === mine.incarnation) this.#prober.doubt(1)
    this.#self = { ...this.#self, incarnation: claim.incarnation + 1 }
    this.#decisions.push({ kind: 'refuted', incarnation: this.#self.incarnation })
    this.#tellSome()
  }

  /** Takes over a verdict if it wins, and spreads it. */
  #judge(digest: Digest): void {
    const before = this.#view.get(digest.node)
    if (before === undefined) return
    const after = mergeVerdict(before, digest)
    if (after === before) return
    const { node, incarnation, status } = after
    this.#view.put(after)
    this.#transitions.touch(node)
    // That a node which everybody takes for alive is alive is no news: a cluster that starts would be full of it.
    if (before.incarnation > 0 || status !== 'alive') this.#rumours.verdict(node)
    if (status === 'suspect') {
      const times = suspicionTimes(this.#view.size + 1, this.#options)
      const accusers = after.accusers.length
      this.#suspicions.accuse({ node, incarnation, accusers }, { nowMs: this.#nowMs, times })
      return
    }
    this.#suspicions.clear(node)
    if (status === 'dead' || before.status === 'alive') return
    if (before.status === 'suspect') this.#decisions.push({ kind: 'false-alarm', node })
    if (this.#prober.hasMissed(node)) this.#follow(this.#prober.probe(node, 'turn', this.#nowMs))
  }

  /** True if there are facts to be asked for. */
  #hearOfFacts(theirs: Digest): boolean {
    const mine = this.#view.get(theirs.node)
    if (mine === undefined) return false
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
  #askFor(peer: string, wanted: readonly Digest[]): void {
    const fresh = wanted.filter(({ node }) => !this.#asked.has(node))
    if (fresh.length === 0) return
    for (const { node } of fresh) this.#asked.set(node, this.#nowMs + this.#options.periodMs)
    this.#exchange(
      peer,
      fresh.flatMap(({ node }) => this.#view.get(node) ?? []),
    )
  }

  #apply(delta: FactsDelta): void {
    const { node, generation, upTo: counter } = delta
    const mine = this.#view.get(node)
    if (mine === undefined) return
    this.#asked.delete(node)
    const names = this.#facts.apply(mine, delta, this.#options)
    if (names === undefined) return
    const documentVersion = generation === mine.generation ? mine.documentVersion : 0
    this.#view.put({ ...mine, generation, counter, documentVersion })
    this.#rumours.facts(node)
    for (const name of names) this.#decisions.push({ kind: 'fact', node, name })
  }

  #publish(name: string, value: Uint8Array): void {
    const counter = this.#self.counter + 1
    this.#facts.publish(this.#self.node, { name, counter, value }, this.#options)
    this.#self = { ...this.#self, counter }
    this.#decisions.push({ kind: 'fact', node: this.#self.node, name })
  }

  #disconnected(node: string): void {
    if (!this.#started || this.#view.get(node) === undefined || this.#view.dead.has(node)) return
    this.#prober.lose(node)
    this.#transitions.touch(node)
    this.#follow(this.#prober.probe(node, 'turn', this.#nowMs))
  }

  #setDocument(version: number): void {
    if (version <= this.#self.documentVersion) return
    this.#self = { ...this.#self, documentVersion: version }
    if (this.#started) this.#tellSome()
  }

  #perhapsFetch(from: string, version: number): void {
    if (!this.#started || version <= this.#self.documentVersion) return
    if (this.#fetches.begin(from, this.#nowMs)) this.#decisions.push({ kind: 'fetch', from, version })
  }

  #tellSome(): void {
    for (const to of this.#view.sample(this.#options.fanout, ({ node }) => this.isUp(node)))
      this.#decisions.push({ kind: 'tell', to })
  }

  #follow(steps: readonly ProbeStep[]): void {
    for (const step of steps) {
      this.#decisions.push(step)
      if (step.kind !== 'probed') continue
      if (this.#view.get(step.node) !== undefined) this.#transitions.touch(step.node)
      if (step.outcome === 'failed') this.#accuse(step.node)
    }
    // A direct probe that was missed may have changed who can be reached.
    for (const step of steps) if (step.kind === 'relay') this.#transitions.touch(step.target)
  }

  #accuse(node: string): void {
    const digest = this.#view.get(node)
    if (digest === undefined || digest.status === 'dead') return
    this.#judge({ ...digest, status: 'suspect', accusers: [this.#self.node] })
  }

  #report(): void {
    const conditionOf = (node: string) => ({ status: this.statusOf(node), up: this.isUp(node) })
    this.#decisions.push(...this.#transitions.take(conditionOf))
  }

  #digestOf(node: string): Digest | undefined {
    return node === this.#self.node ? this.#self : this.#view.get(node)
  }
}
