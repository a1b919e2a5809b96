import { messageOf, type Runtime } from '@atoll/core'
import type { Method } from '@atoll/transport'
import type { Digest } from './digest.ts'
import type { GossipDecision, GossipEvent } from './events.ts'
import type { GossipMachine } from './machine.ts'
import { documentMethod, exchangeMethod, pingMethod, relayMethod } from './methods.ts'
import type { FullGossipOptions } from './options.ts'
import type { DocumentPort, GossipEndpoint } from './ports.ts'
import type { Pong } from './protocol.ts'

interface CallsParts {
  readonly runtime: Runtime
  readonly endpoint: GossipEndpoint
  readonly document: DocumentPort
  readonly options: FullGossipOptions
  readonly machine: GossipMachine
  readonly step: (event: GossipEvent) => void
}

type Decision<Kind> = Extract<GossipDecision, { kind: Kind }>

/** Calls under way at one time; a cluster in order needs a handful. Past it a call counts as failed. */
const MAX_CALLS = 1024

/** What somebody who probes for another leaves of the time, so that the answer arrives. */
const RELAY_SHARE = 0.6

/** How many times a node that opens asks, within the time of a probe, those who do not see it yet. */
const GREETINGS = 10

/** What the machine wants to be asked of others. */
export class Calls {
  readonly #parts: CallsParts
  /** One controller for each: Node takes more than ten listeners on one signal for a leak. */
  readonly #running = new Map<AbortController, Promise<void>>()
  readonly #greetings = new Map<string, Promise<void>>()
  #greeting = true

  constructor(parts: CallsParts) {
    this.#parts = parts
  }

  follow(decision: GossipDecision): void {
    switch (decision.kind) {
      case 'ping':
        this.#ping(decision)
        break
      case 'tell':
        this.#tell(decision)
        break
      case 'relay':
        this.#relay(decision)
        break
      case 'exchange':
        this.#exchange(decision)
        break
      case 'fetch':
        this.#fetch(decision)
    }
  }

  /** Resolves when those who were asked since the start have answered and see this node, or the time of a probe is over. */
  async greeted(): Promise<void> {
    await Promise.all(this.#greetings.values())
    this.#greetings.clear()
    this.#greeting = false
  }

  /** Ends all calls with that reason. */
  async stop(reason: Error): Promise<void> {
    this.#greeting = true
    for (const stop of this.#running.keys()) stop.abort(reason)
    await Promise.all(this.#running.values())
    this.#greetings.clear()
  }

  /** Asks `target` for another node; true if it answers within a part of the time. */
  async probeFor(target: string, remainingMs: number): Promise<boolean> {
    if (target === this.#parts.options.node) return true
    const { probeTimeoutMs } = this.#parts.options
    const timeoutMs = Math.min(probeTimeoutMs, remainingMs * RELAY_SHARE)
    let answered = false
    await this.#begin(async (signal) => {
      answered = (await this.#callPing(target, timeoutMs, signal)) !== undefined
    })
    return answered
  }

  #tell({ to }: Decision<'tell'>): void {
    this.#run(async (signal) => {
      await this.#callPing(to, this.#parts.options.probeTimeoutMs, signal)
    })
  }

  #ping({ to, probe, timeoutMs }: Decision<'ping'>): void {
    const ask = async (signal: AbortSignal) => {
      const pong = await this.#callPing(to, timeoutMs, signal)
      if (pong === undefined) this.#parts.step({ kind: 'refused', probe })
      else if (!pong.seesYou && this.#greeting) await this.#insist(to, signal)
    }
    if (this.#greeting) this.#greetings.set(to, this.#begin(ask))
    else this.#run(ask)
  }

  /** Asks again until the node has found out that this one is up. */
  async #insist(to: string, signal: AbortSignal): Promise<void> {
    const { runtime, options } = this.#parts
    const pauseMs = options.probeTimeoutMs / GREETINGS
    for (let greetings = 0; greetings < GREETINGS && !signal.aborted; greetings++) {
      const pong = await this.#callPing(to, options.probeTimeoutMs, signal)
      if (pong === undefined || pong.seesYou) return
      await runtime.clock.sleep(pauseMs, { signal }).catch(() => {})
    }
  }

  #relay({ via, target, probe, timeoutMs }: Decision<'relay'>): void {
    this.#run(async (signal) => {
      const request = { digests: this.#parts.machine.newsFor(via), target }
      const reply = await this.#call(via, relayMethod, request, { timeoutMs, signal })
      if (reply !== undefined) this.#answered(via, reply.digests)
      const outcome = reply === undefined ? 'unreachable' : reply.answered ? 'answered' : 'missed'
      // Silence until the end is told by the clock of the machine; what is known earlier is told here.
      this.#parts.step({ kind: 'relayed', probe, via, outcome })
    })
  }

  #exchange({ with: peer, digests }: Decision<'exchange'>): void {
    this.#run(async (signal) => {
      const timeoutMs = this.#parts.options.exchangeMs
      const reply = await this.#call(peer, exchangeMethod, { digests }, { timeoutMs, signal })
      if (reply === undefined) return
      this.#parts.step({ kind: 'deltas', deltas: reply.deltas })
      this.#answered(peer, reply.digests)
    })
  }

  #fetch({ from, version }: Decision<'fetch'>): void {
    this.#run(async (signal) => {
      const outcome = await this.#fetchFrom(from, version, signal)
      this.#parts.runtime.metrics.count('atoll_gossip_documents_total', 1, { outcome })
      const learned = outcome === 'learned' || outcome === 'known'
      // First what this node has now: the answers that arrive from here on are compared with it.
      this.#parts.step({ kind: 'document', version: this.#parts.document.version() })
      this.#parts.step({ kind: 'fetched', from, learned })
    })
  }

  async #fetchFrom(from: string, version: number, signal: AbortSignal): Promise<string> {
    const { document, options, runtime } = this.#parts
    const { documentTimeoutMs: timeoutMs, maxDocumentBytes, node } = options
    if (document.version() >= version) return 'known'
    const reply = await this.#call(from, documentMethod, null, { timeoutMs, signal })
    if (reply === undefined) return 'unreachable'
    if (reply.version <= document.version()) return 'known'
    try {
      if (reply.bytes.length > maxDocumentBytes) throw new RangeError(`it has ${reply.bytes.length} bytes`)
      await document.learn(reply.version, reply.bytes, from)
      return 'learned'
    } catch (error) {
      runtime.log.warn({ node, peer: from, reason: messageOf(error) }, 'a newer document was refused')
      return 'refused'
    }
  }

  async #callPing(to: string, timeoutMs: number, signal: AbortSignal): Promise<Pong | undefined> {
    const digests = this.#parts.machine.newsFor(to)
    const pong = await this.#call(to, pingMethod, { digests }, { timeoutMs, signal })
    if (pong !== undefined) this.#answered(to, pong.digests)
    return pong
  }

  #answered(from: string, digests: readonly Digest[]): void {
    this.#parts.step({ kind: 'answered', from, digests })
  }

  /** Undefined if it fails, for whatever reason: that there is no answer is all that matters here. */
  async #call<Request, Response>(
    to: string,
    method: Method<Request, Response>,
    request: Request,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Response | undefined> {
    try {
      return await this.#parts.endpoint.call(to, method, request, options)
    } catch {
      return undefined
    }
  }

  #run(work: (signal: AbortSignal) => Promise<void>): void {
    void this.#begin(work)
  }

  #begin(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#running.size >= MAX_CALLS) {
      this.#parts.runtime.metrics.count('atoll_gossip_calls_dropped_total')
      return Promise.resolve()
    }
    const stop = new AbortController()
    const running = work(stop.signal).finally(() => this.#running.delete(stop))
    this.#running.set(stop, running)
    return running
  }
}
