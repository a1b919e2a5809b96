import type { FullGossipOptions } from './options.ts'
import type { View } from './view.ts'

/** Why a node is asked whether it lives. */
export type ProbePurpose =
  /** To find out; if nobody gets an answer it is suspect. */
  | 'turn'
  /** This node opens, and believes nobody to be up who does not answer. */
  | 'greeting'
  /** It is dead; perhaps it has come back. */
  | 'knock'

export type ProbeOutcome = 'answered' | 'indirect' | 'failed' | 'knocked' | 'discarded'

/** What somebody who was asked to probe for us found. */
export type RelayOutcome = 'answered' | 'missed' | 'unreachable'

/** What the machine does about a probe. */
export type ProbeStep =
  | { readonly kind: 'ping'; readonly to: string; readonly probe: number; readonly timeoutMs: number }
  | {
      readonly kind: 'relay'
      readonly via: string
      readonly target: string
      readonly probe: number
      readonly timeoutMs: number
    }
  | { readonly kind: 'probed'; readonly node: string; readonly outcome: ProbeOutcome }

interface Probe {
  readonly id: number
  readonly target: string
  readonly purpose: ProbePurpose
  /** Until then the answer is asked for directly only. */
  readonly directMs: number
  readonly endMs: number
  /** The call itself has failed: no answer will come. */
  refused: boolean
  relayed: boolean
  /** Those who were asked to probe for us and have said nothing yet. */
  readonly silent: Set<string>
}

/** Direct probes missed in a row after which a node counts as out of reach from here, whatever others say. */
const OUT_OF_REACH = 2

/** Those that missed a probe, and the dead, are asked besides those whose turn it is; so many of each at most. */
const MAX_EXTRA = 3

const NOTHING: readonly ProbeStep[] = []

/**
 * The probes of one node (SWIM, section 3.1): directly, then through others; and what Lifeguard adds: a node that gets
 * no answers where it should doubts its own health, and waits longer.
 */
export class Prober {
  readonly #options: FullGossipOptions
  readonly #view: View
  readonly #probes = new Map<number, Probe>()
  readonly #targets = new Map<string, number>()
  /** Direct probes missed in a row, for those who missed any. */
  readonly #missed = new Map<string, number>()
  #lastId = 0
  #health = 0

  constructor(view: View, options: FullGossipOptions) {
    this.#view = view
    this.#options = options
  }

  /** How much this node doubts itself: 0 to `maxHealth` (Lifeguard's local health multiplier). */
  get health(): number {
    return this.#health
  }

  get nextMs(): number {
    let nextMs = Number.POSITIVE_INFINITY
    for (const { relayed, directMs, endMs } of this.#probes.values())
      nextMs = Math.min(nextMs, relayed ? endMs : directMs)
    return nextMs
  }

  /** False from when a connection broke, or probes were missed, until a probe is answered. */
  isReachable(node: string): boolean {
    return (this.#missed.get(node) ?? 0) < OUT_OF_REACH
  }

  hasMissed(node: string): boolean {
    return this.#missed.has(node)
  }

  /** Its connection is gone, and a probe that went over it with it. */
  lose(node: string): void {
    const id = this.#targets.get(node)
    if (id !== undefined) this.#end(id)
    this.#miss(node, OUT_OF_REACH)
  }

  forget(node: string): void {
    this.#missed.delete(node)
    const id = this.#targets.get(node)
    if (id !== undefined) this.#end(id)
  }

  /** This node is worse (1) or better (-1) than it thought. */
  doubt(change: 1 | -1): void {
    this.#health = Math.max(0, Math.min(this.#options.maxHealth, this.#health + change))
  }

  /** A round: whose turn it is, those who missed a probe, some of the dead. */
  round(nowMs: number): ProbeStep[] {
    const { probesPerPeriod } = this.#options
    const steps: ProbeStep[] = []
    let extra = 0
    for (const node of this.#missed.keys()) {
      if (extra === MAX_EXTRA) break
      if (this.#view.dead.has(node)) continue
      extra += 1
      steps.push(...this.probe(node, 'turn', nowMs))
    }
    const isOpen = (node: string) => !this.#targets.has(node)
    const turns = this.#view.next(probesPerPeriod, ({ node, status }) => status !== 'dead' && isOpen(node))
    for (const node of turns) steps.push(...this.probe(node, 'turn', nowMs))
    for (const node of this.#view.sampleDead(MAX_EXTRA)) steps.push(...this.probe(node, 'knock', nowMs))
    return steps
  }

  /** Asks one node, unless that is being done. */
  probe(target: string, purpose: ProbePurpose, nowMs: number): readonly ProbeStep[] {
    if (this.#targets.has(target)) return NOTHING
    const id = ++this.#lastId
    const waitMs = this.#options.probeTimeoutMs * (this.#health + 1)
    const [directMs, endMs] = [nowMs + waitMs, nowMs + 2 * waitMs]
    const open = { refused: false, relayed: false, silent: new Set<string>() }
    this.#probes.set(id, { id, target, purpose, directMs, endMs, ...open })
    this.#targets.set(target, id)
    return [{ kind: 'ping', to: target, probe: id, timeoutMs: 2 * waitMs }]
  }

  /** The node has answered a call of ours, this probe or another. */
  answered(node: string): readonly ProbeStep[] {
    this.#missed.delete(node)
    const id = this.#targets.get(node)
    if (id === undefined) return NOTHING
    this.#end(id)
    this.doubt(-1)
    return [{ kind: 'probed', node, outcome: 'answered' }]
  }

  /** The call of a probe has failed before its time was over. */
  refused(id: number, nowMs: number): readonly ProbeStep[] {
    const probe = this.#probes.get(id)
    if (probe === undefined) return NOTHING
    probe.refused = true
    return probe.relayed ? this.#perhapsFailed(probe) : this.#missedDirectly(probe, nowMs)
  }

  relayed(id: number, via: string, outcome: RelayOutcome): readonly ProbeStep[] {
    const probe = this.#probes.get(id)
    if (probe === undefined) return NOTHING
    probe.silent.delete(via)
    if (outcome !== 'answered') return this.#perhapsFailed(probe)
    this.#end(id)
    return [{ kind: 'probed', node: probe.target, outcome: 'indirect' }]
  }

  /** Ends what is due. */
  tick(nowMs: number): ProbeStep[] {
    const steps: ProbeStep[] = []
    for (const probe of [...this.#probes.values()]) {
      if (!probe.relayed && probe.directMs <= nowMs) steps.push(...this.#missedDirectly(probe, nowMs))
      else if (probe.relayed && probe.endMs <= nowMs) steps.push(...this.#failed(probe))
    }
    return steps
  }

  /** Forgets every probe that is under way: this node could not hear the answers. */
  discard(): ProbeStep[] {
    const steps = [...this.#probes.values()].map(
      ({ target }): ProbeStep => ({ kind: 'probed', node: target, outcome: 'discarded' }),
    )
    this.#probes.clear()
    this.#targets.clear()
    return steps
  }

  /** The one asked last goes behind the others. */
  #miss(node: string, times: number): void {
    this.#missed.delete(node)
    this.#missed.set(node, times)
  }

  #missedDirectly(probe: Probe, nowMs: number): ProbeStep[] {
    const { id, target, purpose } = probe
    if (purpose === 'knock') {
      this.#end(id)
      return [{ kind: 'probed', node: target, outcome: 'knocked' }]
    }
    const missed = purpose === 'greeting' ? OUT_OF_REACH : (this.#missed.get(target) ?? 0) + 1
    this.#miss(target, missed)
    const canHelp = (node: string) => node !== target && this.isReachable(node)
    const { indirectProbes } = this.#options
    const via = this.#view.sample(indirectProbes, ({ node, status }) => status === 'alive' && canHelp(node))
    probe.relayed = true
    probe.refused = false
    for (const node of via) probe.silent.add(node)
    const timeoutMs = Math.max(1, probe.endMs - nowMs)
    const relays = via.map((node): ProbeStep => ({ kind: 'relay', via: node, target, probe: id, timeoutMs }))
    // And once more directly: it may have been one message, or a connection that broke on the way.
    return [{ kind: 'ping', to: target, probe: id, timeoutMs }, ...relays]
  }

  /** There is nothing to wait for once everybody has said that there is no answer. */
  #perhapsFailed(probe: Probe): ProbeStep[] {
    return probe.refused && probe.silent.size === 0 ? this.#failed(probe) : []
  }

  #failed(probe: Probe): ProbeStep[] {
    this.#end(probe.id)
    // Those who were asked should have said at least that there is no answer: perhaps it is this node that hears nothing.
    if (probe.silent.size > 0) this.doubt(1)
    return [{ kind: 'probed', node: probe.target, outcome: 'failed' }]
  }

  #end(id: number): void {
    const target = this.#probes.get(id)?.target
    this.#probes.delete(id)
    if (target !== undefined) this.#targets.delete(target)
  }
}
