import { AtollError, attempt, EMPTY_BYTES, Lifecycle, type Runtime, type Timer } from '@atoll/core'
import { EventEmitter } from 'eventemitter3'
import { Calls } from './calls.ts'
import type { MemberStatus } from './digest.ts'
import type { GossipDecision, GossipEvent } from './events.ts'
import { GossipMachine } from './machine.ts'
import { documentMethod, exchangeMethod, pingMethod, relayMethod } from './methods.ts'
import { type FullGossipOptions, type GossipOptions, validateGossipOptions } from './options.ts'
import type { DocumentPort, GossipEndpoint } from './ports.ts'
import type { DocumentReply } from './protocol.ts'
import { record } from './records.ts'

export interface GossipCollaborators {
  /** Open before gossip is, and closed after it. */
  readonly endpoint: GossipEndpoint
  readonly document: DocumentPort
}

export interface GossipEvents {
  /** A node is up again; a new member is up from the start, without this. */
  up: (node: string) => void
  /** A node is not up any more. */
  down: (node: string) => void
  /** A node is suspect, or cannot be reached from here. */
  suspect: (node: string) => void
  /** A node has published a fact, or has begun a new life without it. */
  fact: (node: string, name: string) => void
}

export interface MemberView {
  readonly node: string
  readonly status: MemberStatus
  readonly incarnation: number
  /** The newest version of the document that it was seen to have; 0 for none. */
  readonly documentVersion: number
}

/** Read again if the document changes meanwhile, but not for ever. */
const MAX_READS = 5

/**
 * Who is up, what each node says of itself, and the newest document, everywhere: SWIM with Lifeguard between the members, at
 * a cost for each node that does not grow with the cluster. Fits the coordinator as its `Liveness`.
 */
export class Gossip extends Lifecycle {
  readonly label: string
  readonly events = new EventEmitter<GossipEvents>()
  readonly #runtime: Runtime
  readonly #collaborators: GossipCollaborators
  readonly #options: FullGossipOptions
  readonly #machine: GossipMachine
  readonly #calls: Calls
  #timer: Timer | undefined
  /** When it fires. */
  #timerMs = Number.POSITIVE_INFINITY
  #running = false

  /** Throws `TypeError` or `RangeError` for invalid options. */
  constructor(runtime: Runtime, collaborators: GossipCollaborators, options: GossipOptions) {
    super()
    this.#runtime = runtime
    this.#collaborators = collaborators
    this.#options = validateGossipOptions(options)
    this.label = `gossip of ${options.node}`
    this.#machine = new GossipMachine(runtime.random, this.#options)
    this.#calls = new Calls({
      runtime,
      ...collaborators,
      options: this.#options,
      machine: this.#machine,
      step: (event) => this.#step(event),
    })
  }

  /**
   * Whether calls to the node are likely to be answered: not if it is dead, nor from when a connection with it broke, or two
   * probes in a row were missed, until it answers one. A node is up for itself, a stranger is not.
   */
  isUp(node: string): boolean {
    return this.#machine.isUp(node)
  }

  /** Suspect is also a node that cannot be reached from here; dead is also a stranger. */
  statusOf(node: string): MemberStatus {
    return this.#machine.statusOf(node)
  }

  /** What is known of the members, this node first. */
  members(): readonly MemberView[] {
    return [this.#machine.self, ...this.#machine.members()].map(({ node, incarnation, documentVersion }) => ({
      node,
      status: this.statusOf(node),
      incarnation,
      documentVersion,
    }))
  }

  /** What the node says of itself, by name; this node included. */
  factsOf(node: string): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.#machine.factsOf(node)].map(([name, { value }]) => [name, value]))
  }

  /**
   * Sets who takes part; this node may be among them. A new one counts as up, and is probed at once; one that is left
   * out is forgotten.
   */
  setMembers(names: readonly string[]): void {
    this.#step({ kind: 'members', names })
    this.#countMembers()
  }

  /** The document of this node has become newer: everybody shall have it. */
  announce(): void {
    this.#step({ kind: 'document', version: this.#collaborators.document.version() })
  }

  /**
   * Says something of this node to all; a later value takes the place of an earlier one. Throws `TypeError` or
   * `RangeError` for an invalid name or value, `ATOLL_OVERLOADED` for one name too many.
   */
  publish(name: string, value: Uint8Array): void {
    this.#step({ kind: 'publish', name, value: value.slice() })
  }

  /** Asks the members, and waits as long as a probe may take: a node that is open knows who is up, and they know of it. */
  protected async onOpen(): Promise<void> {
    const { endpoint, document } = this.#collaborators
    this.#serve()
    endpoint.events.on('peer-disconnected', this.#onDisconnected)
    this.#running = true
    this.#step({ kind: 'document', version: document.version() })
    this.#step({ kind: 'start' })
    await this.#calls.greeted()
    this.#countMembers()
  }

  protected async onClose(): Promise<void> {
    this.#running = false
    this.#timer?.cancel()
    this.#timerMs = Number.POSITIVE_INFINITY
    this.#collaborators.endpoint.events.off('peer-disconnected', this.#onDisconnected)
    await this.#calls.stop(new AtollError('ATOLL_CLOSED', `${this.label} is closed`))
  }

  readonly #onDisconnected = (node: string) => this.#step({ kind: 'disconnected', node })

  #serve(): void {
    const { endpoint } = this.#collaborators
    const newsFor = (peer: string) => this.#machine.newsFor(peer)
    endpoint.handle(pingMethod, async ({ digests }, { from }) => {
      this.#hear(from, digests)
      return { digests: newsFor(from), seesYou: this.#machine.sees(from) }
    })
    endpoint.handle(relayMethod, async ({ digests, target }, { from, remainingMs }) => {
      this.#hear(from, digests)
      const answered = await this.#calls.probeFor(target, remainingMs)
      return { digests: newsFor(from), answered }
    })
    endpoint.handle(exchangeMethod, async ({ digests }, { from }) => {
      this.#hear(from, digests)
      return this.#machine.compare(digests)
    })
    endpoint.handle(documentMethod, () => this.#readDocument())
  }

  #hear(from: string, digests: Extract<GossipEvent, { kind: 'heard' }>['digests']): void {
    this.#assertRunning()
    this.#step({ kind: 'heard', from, digests })
  }

  #assertRunning(): void {
    if (!this.#running) throw new AtollError('ATOLL_CLOSED', `${this.label} is closed`)
  }

  async #readDocument(): Promise<DocumentReply> {
    this.#assertRunning()
    const { document } = this.#collaborators
    for (let reads = 0; reads < MAX_READS; reads++) {
      const version = document.version()
      const bytes = (await document.read()) ?? EMPTY_BYTES
      if (document.version() !== version) continue
      const max = this.#options.maxDocumentBytes
      if (bytes.length > max)
        throw new AtollError('ATOLL_TOO_LARGE', `the document has ${bytes.length} bytes; the limit is ${max}`)
      return { version, bytes }
    }
    throw new AtollError('ATOLL_OVERLOADED', 'the document changes faster than it can be read')
  }

  /** Takes an event to the machine, and does what it decides. Before the node is open only what the machine is to know. */
  #step(event: GossipEvent): void {
    if (!this.#running && !EARLY.includes(event.kind)) return
    const decisions = this.#machine.step(event, this.#runtime.clock.monotonicMs())
    this.#wake()
    for (const decision of decisions) this.#follow(decision)
  }

  #follow(decision: GossipDecision): void {
    record(this.#runtime, this.#options.node, decision)
    switch (decision.kind) {
      case 'up':
      case 'down':
        attempt(this.#runtime, 'listener', () => this.events.emit(decision.kind, decision.node))
        break
      case 'fact':
        attempt(this.#runtime, 'listener', () => this.events.emit('fact', decision.node, decision.name))
        break
      case 'status':
        this.#countMembers()
        if (decision.to === 'suspect')
          attempt(this.#runtime, 'listener', () => this.events.emit('suspect', decision.node))
        break
      default:
        if (this.#running) this.#calls.follow(decision)
    }
  }

  /** One timer, moved only when it would fire too late: most steps change nothing about it. */
  #wake(): void {
    if (!this.#running || this.#machine.nextMs >= this.#timerMs) return
    this.#timer?.cancel()
    this.#timerMs = this.#machine.nextMs
    const { clock } = this.#runtime
    const delayMs = Math.max(0, this.#timerMs - clock.monotonicMs())
    const fire = () => {
      this.#timerMs = Number.POSITIVE_INFINITY
      if (clock.monotonicMs() < this.#machine.nextMs) this.#wake()
      else this.#tick()
    }
    this.#timer = clock.timer(delayMs, fire, { background: true })
  }

  #tick(): void {
    this.announce()
    this.#step({ kind: 'tick' })
  }

  #countMembers(): void {
    const counts: Record<MemberStatus, number> = { alive: 0, suspect: 0, dead: 0 }
    for (const { status } of this.members()) counts[status] += 1
    for (const [status, count] of Object.entries(counts))
      this.#runtime.metrics.gauge('atoll_gossip_members', count, { status })
  }
}

/** What may happen before the node is open. */
const EARLY: readonly GossipEvent['kind'][] = ['members', 'document', 'publish']
