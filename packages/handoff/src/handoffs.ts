import { AtollError, checkInteger, checkText, Lifecycle, type Runtime, wrongRange } from '@atoll/core'
import { LargeServer } from '@atoll/transport'
import type { Gate } from '@atoll/vnode'
import type { HandoffStatus, Job } from './jobs.ts'
import { endMethod, offerMethod, returnMethod, sealMethod, sendMethod } from './methods.ts'
import { type HandoffOptions, validateHandoffOptions } from './options.ts'
import { Pass } from './pass.ts'
import {
  checkDelivered,
  deliveringHints,
  type GiveBackPlan,
  type GivenBack,
  givingBack,
  type HintPlan,
  type Refilled,
  type RefillRequest,
  refilling,
} from './passes.ts'
import type { OfRing } from './protocol.ts'
import { Receiver } from './receiver.ts'
import { Runs } from './runs.ts'
import { Seals } from './seals.ts'
import { Sender } from './sender.ts'
import type { HandoffParts, Site } from './site.ts'
import { Transfer } from './transfer.ts'
import type { TransferPlan } from './transfer-machine.ts'

/**
 * Moves records between the vnodes of nodes, for whatever reason: a partition gets another owner, a vnode holds what
 * belongs to another one, a replica is lacking. One mechanism: a page of records is offered by key and clock, what the
 * other vnode lacks is sent and merged there, and nothing is forgotten here before it is durable there.
 *
 * To be opened after the host, and before the endpoint; a vnode that was handed over before a restart is announced again,
 * which goes on in the background.
 */
export class Handoffs extends Lifecycle {
  readonly label: string
  readonly #site: Site
  readonly #receiver: Receiver
  readonly #seals: Seals
  #runs: Runs

  /** Throws `TypeError` or `RangeError` for invalid options. */
  constructor(runtime: Runtime, parts: HandoffParts, options: HandoffOptions = {}) {
    super()
    const full = validateHandoffOptions(options)
    const { host } = parts
    this.label = `handoffs of ${host.node}`
    this.#site = {
      ...parts,
      runtime,
      node: host.node,
      options: full,
      sender: new Sender(runtime, parts, full),
    }
    this.#runs = new Runs(runtime, full)
    const stopGiving = (partition: number) => this.#runs.stop(`give-back ${partition}`)
    this.#receiver = new Receiver(
      runtime,
      { host, stopGiving, checkRing: (ring) => this.#checkRing(ring) },
      full,
    )
    this.#seals = new Seals(this.#site, {
      start: (plan) => this.#start(plan),
      end: (partition) => this.#runs.end(nameOfTransfer(partition)),
      without: (partition, work) => this.#withoutTransfer(partition, work),
    })
  }

  /**
   * Moves a vnode to another node. Resolves when that has everything durably, and this one accepts nothing for it any
   * more but forwards: then, and not before, may the document say that it has moved. Goes on where an earlier call or an
   * earlier life of the node has stopped, and tries again after failures until it is aborted or cancelled. A second call
   * for the same move joins the first.
   *
   * Throws `ATOLL_CHANGE_REFUSED` if the vnode is on its way to yet another node, or (transient) while it is being taken
   * back or an earlier move of it is forgotten, `ATOLL_ABORTED`, `ATOLL_CLOSED`.
   */
  async transfer(
    partition: number,
    to: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    this.assertOpen()
    if (this.#runs.has(nameOfReturn(partition))) {
      const message = `partition ${partition} is being taken back`
      throw new AtollError('ATOLL_CHANGE_REFUSED', message, { transient: true })
    }
    const gate = this.#site.host.gates.get(partition)
    const isOver = gate?.phase === 'sealed' && gate.to === to
    if (isOver && !this.#runs.has(nameOfTransfer(partition))) return
    return this.#start({ partition, to, isReturn: false }, options.signal)
  }

  /**
   * The moves of own vnodes that have begun, sealed ones included: the nodes that they go to, by partition. A return that
   * stopped when the node was restarted is one as well if the document says since that the partition is this node's own:
   * nobody asks for that any more, and it is to be cancelled.
   */
  outgoing(): ReadonlyMap<number, string> {
    const { host, isOwn } = this.#site
    const isMove = ([partition, { isReturn }]: readonly [number, Gate]) =>
      !isReturn || (isOwn?.(partition) === true && !this.#runs.has(nameOfTransfer(partition)))
    const moves = [...host.gates.all()].filter(isMove)
    return new Map(moves.map(([partition, { to }]) => [partition, to]))
  }

  /** The document says that a vnode has moved: from now on the document alone decides who serves it. */
  async release(partition: number): Promise<void> {
    this.assertOpen()
    await this.#runs.end(nameOfReturn(partition))
    await this.#runs.end(nameOfTransfer(partition))
    await this.#forget(partition)
    this.#site.host.gates.revoke(partition)
  }

  /**
   * The document does not want a move any more. A vnode that is sealed already is asked back, with all that was written
   * meanwhile, and resolves when this node serves it again; `isLost` says that the other node is gone for good, and that
   * what only it has is given up.
   */
  async cancel(
    partition: number,
    options: { readonly isLost?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    this.assertOpen()
    await this.#runs.end(nameOfTransfer(partition))
    const gate = this.#site.host.gates.get(partition)
    if (gate === undefined) return
    const { signal, isLost = false } = options
    if (gate.phase === 'copying' || isLost) await this.#forget(partition)
    else {
      const askBack = (running: AbortSignal) => this.#seals.askBack(partition, running)
      await this.#runs.run(nameOfReturn(partition), { job: undefined, signal }, askBack)
    }
    await this.#site.sender.end({ node: gate.to, partition }, { kind: 'transfer' })
  }

  /**
   * One pass over a vnode that does not belong to this node: what all its holders have durably, or get now, is deleted here
   * unless it has changed meanwhile. To be repeated until nothing is left.
   *
   * Throws `ATOLL_CHANGE_REFUSED` if the vnode is this node's own or on its way to another, `ATOLL_OVERLOADED` if a pass is
   * under way, `RangeError` if it is given to nobody, and whatever the other nodes answer.
   */
  async giveBack(
    plan: GiveBackPlan,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<GivenBack> {
    this.assertOpen()
    await this.#forgetReturn(plan.partition)
    this.#checkGivable(plan)
    const pass = new Pass(this.#site, givingBack(plan))
    const { signal } = options
    const name = `give-back ${plan.partition}`
    const { records, bytes, left, corrupt } = await this.#runs.run(
      name,
      { job: pass.job, signal },
      (running) => pass.run(running),
    )
    return { records, bytes, left, corrupt }
  }

  /** Copies records of an own vnode to others that lack them. Throws whatever those answer; a later call goes on there. */
  async refill(request: RefillRequest): Promise<Refilled> {
    this.assertOpen()
    checkText('id', request.id, /^[a-zA-Z0-9._:-]{1,128}$/, '1 to 128 characters of a-z A-Z 0-9 . _ : -')
    checkInteger('partition', request.partition, { min: 0, max: Number.MAX_SAFE_INTEGER })
    const pass = new Pass(this.#site, refilling(request))
    const { job } = pass
    const name = `refill ${request.id} ${request.partition}`
    const { signal } = request
    await this.#runs.run(name, { job, signal }, (running) => pass.run(running))
    return { records: job.records, bytes: job.bytes }
  }

  /**
   * One pass over what another node missed of a partition; see `deliveringHints`. Throws whatever that node answers, and
   * `ATOLL_OVERLOADED` or `ATOLL_CORRUPT` if something of it stays here; `ATOLL_OVERLOADED` as well if a pass is under way.
   */
  async deliverHints(
    plan: HintPlan,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    this.assertOpen()
    const pass = new Pass(this.#site, deliveringHints(plan))
    const { signal } = options
    const name = `hints ${plan.partition} ${plan.node}`
    return this.#runs.run(name, { job: pass.job, signal }, async (running) =>
      checkDelivered(plan, await pass.run(running)),
    )
  }

  /**
   * Files all records of this node by the partitions of a ring that has got more of them; see `VnodeHost.refile`. Throws
   * `ATOLL_CHANGE_REFUSED` while anything leaves this node.
   */
  async refile(
    partitions: number,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    this.assertOpen()
    if (this.#runs.jobs().length > 0)
      throw new AtollError('ATOLL_CHANGE_REFUSED', 'a handoff is under way', { transient: true })
    await this.#site.host.refile(partitions, options)
    this.#receiver.clear()
  }

  /** Everything that is under way, in both directions. */
  status(): readonly HandoffStatus[] {
    return [...this.#runs.jobs(), ...this.#receiver.jobs()].map((job: Job) => job.status)
  }

  protected async onOpen(): Promise<void> {
    const { endpoint, host, runtime, options } = this.#site
    this.#runs = new Runs(runtime, options)
    endpoint.handle(offerMethod, (request, call) => this.#receiver.offer(request, call))
    new LargeServer(endpoint).handle(sendMethod, (request, call) => this.#receiver.send(request, call))
    endpoint.handle(endMethod, async (request, { from }) => {
      this.#checkRing(request)
      this.#receiver.end(request, from)
      return 'done'
    })
    endpoint.handle(sealMethod, async ({ partition, partitions }, { from }) => {
      this.#checkRing({ partitions })
      this.#receiver.end({ partition, kind: 'transfer' }, from)
      return this.#seals.onSealed(partition, from)
    })
    endpoint.handle(returnMethod, async ({ partition, partitions }, { from }) => {
      this.#checkRing({ partitions })
      return this.#seals.onAskedBack(partition, from)
    })
    host.gates.reseal = (partition) => this.#seals.reseal(partition)
    for (const [partition, { to, phase, isReturn }] of host.gates.all()) {
      if (phase === 'resealing') void this.#start({ partition, to, isReturn }).catch(() => {})
    }
  }

  protected async onClose(): Promise<void> {
    this.#site.host.gates.reseal = async () => {}
    await this.#runs.close()
    this.#receiver.clear()
  }

  async #start(plan: TransferPlan, signal?: AbortSignal): Promise<void> {
    const { partition, to, isReturn } = plan
    const gate = this.#site.host.gates.get(partition)
    const isOther = gate !== undefined && (gate.to !== to || gate.isReturn !== isReturn)
    if (isOther && gate.phase !== 'copying') {
      const message = `partition ${partition} is on its way to ${gate.to}`
      throw new AtollError('ATOLL_CHANGE_REFUSED', message)
    }
    const transfer = new Transfer(this.#site, plan)
    // Requests wait for a vnode that is sealed and not announced: it does not wait for others to be copied.
    const atOnce = gate?.phase === 'resealing' || gate?.phase === 'cut-off'
    const aim = isReturn ? `back to ${to}` : `to ${to}`
    const options = { job: transfer.job, aim, signal, atOnce }
    return this.#runs.retry(nameOfTransfer(partition), options, (running) => transfer.attempt(running))
  }

  /** By another number of partitions they are others. */
  #checkRing({ partitions }: OfRing): void {
    const { filed, node } = this.#site.host
    if (partitions === undefined || partitions === filed) return
    const message = `${node} has filed its records by ${filed} partitions, not by ${partitions}; later`
    throw new AtollError('ATOLL_OVERLOADED', message, { details: { filed } })
  }

  /** Does something while no transfer of the partition may begin. */
  #withoutTransfer(partition: number, work: () => Promise<void>): Promise<void> {
    return this.#runs.run(nameOfTransfer(partition), { job: undefined, signal: undefined }, work)
  }

  async #forget(partition: number): Promise<void> {
    const gate = this.#site.host.gates.get(partition)
    if (gate === undefined) return
    const transfer = new Transfer(this.#site, { partition, ...gate })
    await this.#withoutTransfer(partition, () => transfer.forget())
  }

  /** Nobody asks any more for what was to be returned in one piece: it goes back as everything else does. */
  async #forgetReturn(partition: number): Promise<void> {
    const isReturn = this.#site.host.gates.get(partition)?.isReturn === true
    if (isReturn && !this.#runs.has(nameOfTransfer(partition))) await this.#forget(partition)
  }

  #checkGivable({ partition, to, type }: GiveBackPlan): void {
    const { isOwn, host } = this.#site
    if (to.length === 0) throw wrongRange('to', 'must name the nodes that hold the partition, got none')
    if (type === undefined && isOwn?.(partition)) {
      throw new AtollError('ATOLL_CHANGE_REFUSED', `partition ${partition} belongs to this node`)
    }
    if (this.#receiver.isTaking(partition)) {
      throw new AtollError('ATOLL_OVERLOADED', `partition ${partition} is being taken over or filled`)
    }
    const gate = host.gates.get(partition)
    if (gate === undefined) return
    const message = `partition ${partition} is on its way to ${gate.to}`
    throw new AtollError('ATOLL_CHANGE_REFUSED', message, { transient: true })
  }
}

/** A partition is in one transfer at a time, and in none while one is being forgotten. */
function nameOfTransfer(partition: number): string {
  return `transfer ${partition}`
}

/** A partition that was handed over is asked back. */
function nameOfReturn(partition: number): string {
  return `return ${partition}`
}
