import { utf8 } from '@atoll/core'
import { Prng } from '@atoll/sim'
import type { Digest } from '../src/digest.ts'
import type { GossipDecision, GossipEvent } from '../src/events.ts'
import { GossipMachine } from '../src/machine.ts'
import { type GossipOptions, validateGossipOptions } from '../src/options.ts'

interface Due {
  readonly atMs: number
  readonly sequence: number
  readonly run: () => void
}

/** A binary heap of what is going to happen. */
class Agenda {
  readonly #heap: Due[] = []
  #sequence = 0
  nowMs = 0

  at(atMs: number, run: () => void): void {
    const heap = this.#heap
    const due = { atMs, sequence: this.#sequence++, run }
    let at = heap.length
    heap.push(due)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(due, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = due
  }

  runUntil(untilMs: number): void {
    for (let top = this.#heap[0]; top !== undefined && top.atMs <= untilMs; top = this.#heap[0]) {
      this.#pop()
      this.nowMs = top.atMs
      top.run()
    }
    this.nowMs = untilMs
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1
      if (!before(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function before(a: Due, b: Due): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence)
}

export interface SwarmOptions {
  readonly nodes: number
  readonly seed: number
  /** Messages lost, of a thousand. */
  readonly lossPermille?: number
  /** How long a message travels. */
  readonly delayMs?: { readonly min: number; readonly max: number }
  readonly gossip?: Omit<GossipOptions, 'node'>
}

export interface Verdict {
  readonly atMs: number
  readonly by: string
  readonly node: string
  readonly to: 'suspect' | 'dead' | 'alive'
}

export class SwarmNode {
  readonly name: string
  readonly machine: GossipMachine
  /** The document that it has. */
  version = 0
  crashed = false
  stalled = false
  /** What arrived, or was due, while it stood still. */
  held: (() => void)[] = []
  armedMs = Number.POSITIVE_INFINITY

  constructor(name: string, machine: GossipMachine) {
    this.name = name
    this.machine = machine
  }
}

/**
 * Many machines and nothing else: no promises, no sockets, so that a thousand nodes live for minutes in seconds. Messages
 * are lost singly, as in UDP, which is worse than what TCP does to anybody.
 */
export class Swarm {
  readonly nodes: SwarmNode[] = []
  readonly verdicts: Verdict[] = []
  /** Sent in all, questions and answers alike. */
  messages = 0
  digests = 0
  /** Suspicions that the suspect itself refuted. */
  refutations = 0
  readonly #agenda = new Agenda()
  readonly #byName = new Map<string, SwarmNode>()
  readonly #prng: Prng
  readonly #options: Required<Omit<SwarmOptions, 'gossip'>>

  constructor(options: SwarmOptions) {
    this.#options = { lossPermille: 0, delayMs: { min: 1, max: 20 }, ...options }
    this.#prng = new Prng(`swarm ${options.seed}`)
    const names = Array.from({ length: options.nodes }, (_, at) => `n${at}`)
    for (const name of names) {
      const full = validateGossipOptions({ ...options.gossip, node: name })
      const node = new SwarmNode(name, new GossipMachine(this.#prng.fork(name), full))
      this.nodes.push(node)
      this.#byName.set(name, node)
      this.step(node, { kind: 'members', names })
    }
    for (const node of this.nodes) this.step(node, { kind: 'start' })
  }

  get nowMs(): number {
    return this.#agenda.nowMs
  }

  run(ms: number): void {
    this.#agenda.runUntil(this.#agenda.nowMs + ms)
  }

  /** Runs until `done`, looked at every `everyMs`; answers how long it took, or undefined after `maxMs`. */
  runUntil(done: () => boolean, everyMs: number, maxMs: number): number | undefined {
    const startMs = this.nowMs
    while (!done()) {
      if (this.nowMs - startMs >= maxMs) return undefined
      this.run(everyMs)
    }
    return this.nowMs - startMs
  }

  step(node: SwarmNode, event: GossipEvent): void {
    if (node.crashed) return
    for (const decision of node.machine.step(event, this.nowMs)) this.#follow(node, decision)
    this.#arm(node)
  }

  crash(node: SwarmNode): void {
    node.crashed = true
  }

  stall(node: SwarmNode, ms: number): void {
    node.stalled = true
    this.#agenda.at(this.nowMs + ms, () => {
      node.stalled = false
      for (const run of node.held.splice(0)) run()
    })
  }

  setDocument(node: SwarmNode, version: number): void {
    node.version = version
    this.step(node, { kind: 'document', version })
  }

  publish(node: SwarmNode, name: string, text: string): void {
    this.step(node, { kind: 'publish', name, value: utf8(text) })
  }

  #arm(node: SwarmNode): void {
    const { nextMs } = node.machine
    if (nextMs >= node.armedMs) return
    node.armedMs = nextMs
    this.#agenda.at(nextMs, () => this.#at(node, () => this.#wake(node, nextMs)))
  }

  #wake(node: SwarmNode, armedMs: number): void {
    if (node.armedMs !== armedMs) return
    node.armedMs = Number.POSITIVE_INFINITY
    if (node.machine.nextMs <= this.nowMs) this.step(node, { kind: 'tick' })
    else this.#arm(node)
  }

  /** A node that stands still does later what it should do now. */
  #at(node: SwarmNode, run: () => void): void {
    if (node.stalled) node.held.push(run)
    else if (!node.crashed) run()
  }

  #send(from: SwarmNode, to: string, digests: number, arrive: (to: SwarmNode) => void): void {
    this.messages += 1
    this.digests += digests
    const target = this.#byName.get(to)
    if (target === undefined || from.crashed) return
    if (this.#prng.chance(this.#options.lossPermille)) return
    const { min, max } = this.#options.delayMs
    const delayMs = this.#prng.between(min * 1000, max * 1000) / 1000
    this.#agenda.at(this.nowMs + delayMs, () => this.#at(target, () => arrive(target)))
  }

  #follow(node: SwarmNode, decision: GossipDecision): void {
    switch (decision.kind) {
      case 'ping':
      case 'tell':
        this.#ping(node, decision.to)
        break
      case 'relay':
        this.#relay(node, decision)
        break
      case 'exchange':
        this.#exchange(node, decision.with, decision.digests)
        break
      case 'fetch':
        this.#fetch(node, decision.from)
        break
      case 'status':
        this.verdicts.push({ atMs: this.nowMs, by: node.name, node: decision.node, to: decision.to })
        break
      case 'refuted':
        this.refutations += 1
        break
    }
  }

  #ping(node: SwarmNode, to: string, onPong: () => void = () => {}): void {
    const digests = node.machine.newsFor(to)
    this.#send(node, to, digests.length, (target) => {
      this.step(target, { kind: 'heard', from: node.name, digests })
      const answer = target.machine.newsFor(node.name)
      this.#send(target, node.name, answer.length, () => {
        this.step(node, { kind: 'answered', from: to, digests: answer })
        onPong()
      })
    })
  }

  #relay(
    node: SwarmNode,
    { via, target, probe, timeoutMs }: Extract<GossipDecision, { kind: 'relay' }>,
  ): void {
    const digests = node.machine.newsFor(via)
    this.#send(node, via, digests.length, (helper) => {
      this.step(helper, { kind: 'heard', from: node.name, digests })
      let over = false
      const answer = (outcome: 'answered' | 'missed') => {
        if (over) return
        over = true
        const news = helper.machine.newsFor(node.name)
        this.#send(helper, node.name, news.length, () => {
          this.step(node, { kind: 'answered', from: via, digests: news })
          this.step(node, { kind: 'relayed', probe, via, outcome })
        })
      }
      this.#ping(helper, target, () => answer('answered'))
      this.#agenda.at(this.nowMs + timeoutMs * 0.6, () => this.#at(helper, () => answer('missed')))
    })
  }

  #exchange(node: SwarmNode, to: string, digests: readonly Digest[]): void {
    this.#send(node, to, digests.length, (target) => {
      this.step(target, { kind: 'heard', from: node.name, digests })
      const answer = target.machine.compare(digests)
      this.#send(target, node.name, answer.digests.length, () => {
        this.step(node, { kind: 'deltas', deltas: answer.deltas })
        this.step(node, { kind: 'answered', from: to, digests: answer.digests })
      })
    })
  }

  #fetch(node: SwarmNode, from: string): void {
    this.#send(node, from, 0, (target) => {
      const { version } = target
      this.#send(target, node.name, 0, () => {
        node.version = Math.max(node.version, version)
        this.step(node, { kind: 'document', version: node.version })
        this.step(node, { kind: 'fetched', from, learned: true })
      })
    })
  }
}
