import {
  AtollError,
  isAtollError,
  type KeyId,
  Lifecycle,
  messageOf,
  type Runtime,
  type Timer,
  toHex,
} from '@atoll/core'
import type { GiveBackPlan, Handoffs } from '@atoll/handoff'
import {
  type ClusterDocument,
  type Edit,
  exited,
  filesNext,
  type Handed,
  handed,
  isReady,
  isRestored,
  type Membership,
  type Move,
  type RaisedRefill,
  type Refill,
  type RestoredRefill,
  refiled,
} from '@atoll/membership'
import { MAX_REPLICAS, type NodeName, overlapping, type Placement } from '@atoll/ring'
import type { VnodeHost } from '@atoll/vnode'
import { type DataWork, filledNext, heldBy, nameOfWork, offered, type Surplus, workFor } from './data-work.ts'

export interface DataMoverCollaborators {
  readonly membership: Membership
  readonly handoffs: Handoffs
  readonly vnodes: VnodeHost
  readonly placement: () => Placement
  readonly isUp: (node: NodeName) => boolean
  /** The bucket types of the cluster. */
  readonly types: () => readonly string[]
  /** Replicas of a bucket type; undefined for one that this node does not know. */
  readonly replicasOf: (type: string) => number | undefined
}

export interface DataMoverOptions {
  readonly node: NodeName
  /** Pause between two looks for work when nothing calls for one, in milliseconds. */
  readonly lookMs: number
}

const RETRY_MS = { least: 250, mostWhenBusy: 1000, most: 30_000 }
/**
 * Who has the same to give as another one waits so long for each that comes before it, and then mostly finds that all
 * is there.
 */
const TURN_MS = 5000
/** Transfers that are done are reported together, so that a plan costs few epochs. */
const REPORT_MS = 200
const REPORT_TIMEOUT_MS = 10_000

/** What is finished before the records are filed anew, or belongs to that. */
const GO_ON: ReadonlySet<DataWork['kind']> = new Set(['cancel', 'release', 'refile', 'take-turn', 'refiled'])

const NONE: ReadonlySet<number> = new Set()

type Hints = Extract<DataWork, { kind: 'hints' }>

/** Moves that are done and will be reported in one edit. */
interface Batch {
  readonly moves: Handed[]
  readonly reported: Promise<void>
}

interface UnderWay {
  readonly kind: DataWork['kind']
  /** One for each piece of work: Node takes more than ten listeners on one signal for a leak. */
  readonly stop: AbortController
  readonly over: Promise<void>
}

interface Retry {
  /** 0 for work that only waits for its turn. */
  readonly failures: number
  readonly atMs: number
}

/** Brings data to where the cluster document says that it belongs, as far as it lies on this node. */
export class DataMover extends Lifecycle {
  readonly label: string
  readonly #runtime: Runtime
  readonly #means: DataMoverCollaborators
  readonly #options: DataMoverOptions
  readonly #underWay = new Map<string, UnderWay>()
  readonly #retries = new Map<string, Retry>()
  /** Partitions of which nothing is left here but damaged records, as far as is known. */
  readonly #ruined = new Set<number>()
  /** Copies that an earlier life of this node began may not be gone on with: the copy of a copy may be gone. */
  #life = ''
  #spoiltCopies = 0
  #stopped = true
  /** Ends each report that is not over: one waits for the one before. */
  readonly #reportStops = new Set<AbortController>()
  #timer: Timer | undefined
  #looking: Promise<void> | undefined
  #lookAgain = false
  #batch: Batch | undefined
  /** Resolves when the last report has come to an end, whatever that is. */
  #reporting: Promise<void> = Promise.resolve()

  constructor(runtime: Runtime, collaborators: DataMoverCollaborators, options: DataMoverOptions) {
    super()
    this.label = `data mover of ${options.node}`
    this.#runtime = runtime
    this.#means = collaborators
    this.#options = options
  }

  /** The document, or who is up, has changed: what could not be done may be possible now. */
  readonly look = (): void => {
    if (this.state !== 'open' && this.state !== 'opening') return
    this.#lookAgain = true
    this.#looking ??= this.#lookWhileAsked().finally(() => {
      this.#looking = undefined
    })
  }

  /** Somebody is up again: what failed may succeed at once. */
  readonly lookAnew = (): void => {
    this.#retries.clear()
    this.#ruined.clear()
    this.look()
  }

  protected async onOpen(): Promise<void> {
    this.#stopped = false
    this.#life = toHex(this.#runtime.random.bytes(6))
    this.#retries.clear()
    this.#batch = undefined
    this.#means.vnodes.mirrors.watchFrom(this.#means.membership.document?.epoch ?? 0)
    this.#means.membership.events.on('changed', this.#onDocument)
    this.look()
  }

  protected async onClose(): Promise<void> {
    this.#means.membership.events.off('changed', this.#onDocument)
    this.#timer?.cancel()
    this.#stopped = true
    const reason = new Error(`${this.label} is closed`)
    for (const { stop } of this.#underWay.values()) stop.abort(reason)
    for (const stop of this.#reportStops) stop.abort(reason)
    await this.#looking
    await Promise.all([...this.#underWay.values()].map(({ over }) => over))
  }

  /** A new holder is known now; or it will not be one, and gets nothing any more. */
  #settleMirrors({ epoch, replicas, moves, ring }: ClusterDocument): void {
    const { mirrors, filed } = this.#means.vnodes
    for (const { partition, to, stage } of mirrors.all()) {
      const [part = partition] = overlapping(partition, filed, ring.partitions)
      const isComing = moves.some((move) => move.kind === 'add' && move.partition === part && move.to === to)
      if (replicas[part]?.includes(to)) mirrors.settle(partition, to, epoch)
      else if (!isComing || typeof stage === 'number') mirrors.end(partition, to)
    }
  }

  /** A node that came back with other data has lost what was sent to it: to go on behind that would leave a gap. */
  readonly #onDocument = (document: ClusterDocument, previous: ClusterDocument | undefined): void => {
    this.#settleMirrors(document)
    const idIn = (of: ClusterDocument | undefined, node: NodeName) => of?.members.get(node)?.id
    for (const [partition, to] of this.#means.handoffs.outgoing()) {
      const before = idIn(previous, to)
      if (before === undefined || before === idIn(document, to)) continue
      this.#begin({ kind: 'cancel', partition, isLost: true })
    }
    this.look()
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#lookAgain && !this.#stopped) {
      this.#lookAgain = false
      try {
        const all = await this.#work()
        this.#endGivingBack(all)
        for (const work of all) this.#begin(work)
      } catch (error) {
        if (!this.#stopped) this.#complain('cannot look for data to move', error)
      }
    }
    this.#timer?.cancel()
    if (!this.#stopped) {
      this.#timer = this.#runtime.clock.timer(this.#options.lookMs, this.look, { background: true })
    }
  }

  /** What is given to those who held it, and not to one that is coming, would be deleted here before that one has it. */
  #endGivingBack(all: readonly DataWork[]): void {
    const wanted = new Set(all.map(nameOfWork))
    for (const [name, { kind, stop }] of this.#underWay)
      if (kind === 'give-back' && !wanted.has(name)) stop.abort(new Error('other nodes hold it now'))
  }

  async #work(): Promise<readonly DataWork[]> {
    const { membership, vnodes, handoffs, isUp } = this.#means
    const held = await vnodes.partitions()
    const { document } = membership
    if (document === undefined) return []
    const isFiled = vnodes.filed === document.ring.partitions
    if (!isFiled) this.#pause()
    const surplus = isFiled ? await this.#surplus(held) : []
    const { node } = this.#options
    const isGoing = document.members.get(node)?.state === 'exiting'
    // Nobody can be given what is damaged: a node that leaves does not wait for that.
    const left = isGoing ? held.filter((partition) => !this.#ruined.has(partition)) : held
    const outgoing = handoffs.outgoing()
    const hinted = isFiled ? vnodes.hints.all() : []
    return workFor({ node, document, filed: vnodes.filed, held: left, surplus, hinted, outgoing, isUp })
  }

  /** What goes by partitions of another ring than the document's does not go on. */
  #pause(): void {
    for (const { kind, stop } of this.#underWay.values())
      if (!GO_ON.has(kind)) stop.abort(new Error('the ring has got more partitions'))
  }

  async #surplus(held: readonly number[]): Promise<readonly Surplus[]> {
    const { placement, replicasOf, types, vnodes } = this.#means
    const { node } = this.#options
    const current = placement()
    const found: Surplus[] = []
    for (const partition of held) {
      const position = current.primaries(partition, MAX_REPLICAS).findIndex((entry) => entry.node === node)
      for (const type of position < 0 ? [] : types()) {
        const n = replicasOf(type) ?? MAX_REPLICAS
        if (n > position || !(await vnodes.holdsType(partition, type))) continue
        found.push({ partition, type, n })
      }
    }
    return found
  }

  #begin(work: DataWork): void {
    const name = nameOfWork(work)
    if (this.#underWay.has(name)) return
    // Whatever else is under way would not find its partition any more; a look follows at its end.
    if (work.kind === 'refile' && this.#underWay.size > 0) return
    const nowMs = this.#runtime.clock.monotonicMs()
    const turn = work.kind === 'hints' ? work.turn : 0
    if (turn > 0 && !this.#retries.has(name))
      this.#retries.set(name, { failures: 0, atMs: nowMs + turn * TURN_MS })
    const retry = this.#retries.get(name)
    // A turn may come sooner than it seemed.
    const isDue = retry === undefined || nowMs >= retry.atMs || (retry.failures === 0 && turn === 0)
    if (!isDue) return
    const stop = new AbortController()
    const running = this.#do(work, stop.signal).then(
      () => this.#retries.delete(name),
      (error: unknown) => this.#failed(name, error),
    )
    const over = running.then(() => {
      this.#underWay.delete(name)
      this.look()
    })
    this.#underWay.set(name, { kind: work.kind, stop, over })
  }

  #failed(name: string, error: unknown): void {
    if (this.#stopped) return
    const failures = (this.#retries.get(name)?.failures ?? 0) + 1
    // Those who are only busy are not for long.
    const most = isAtollError(error, 'ATOLL_OVERLOADED') ? RETRY_MS.mostWhenBusy : RETRY_MS.most
    const ceilingMs = Math.min(most, RETRY_MS.least * 2 ** failures)
    const pauseMs = RETRY_MS.least + this.#runtime.random.below(Math.ceil(ceilingMs))
    this.#retries.set(name, { failures, atMs: this.#runtime.clock.monotonicMs() + pauseMs })
    this.#complain(name, error)
  }

  #complain(what: string, error: unknown): void {
    const { log, metrics } = this.#runtime
    const code = isAtollError(error) ? error.code : 'other'
    metrics.count('atoll_node_data_work_failures_total', 1, { code })
    log.warn({ node: this.#options.node, work: what, code }, messageOf(error))
  }

  async #do(work: DataWork, signal: AbortSignal): Promise<void> {
    const { handoffs } = this.#means
    switch (work.kind) {
      case 'transfer':
        await handoffs.transfer(work.move.partition, work.move.to, { signal })
        return this.#report(work.move)
      case 'copy':
        await this.#copy(work.move, signal)
        return this.#report(work.move)
      case 'cancel':
        return handoffs.cancel(work.partition, { signal, isLost: work.isLost })
      case 'release':
        return handoffs.release(work.partition)
      case 'give-back':
        return this.#giveBack(work, signal)
      case 'refill':
        return this.#refill(work.refill, signal)
      case 'hints':
        return this.#deliverHints(work, signal)
      case 'refile':
        await handoffs.refile(work.partitions, { signal })
        return this.#ruined.clear()
      case 'take-turn':
        return this.#propose((document) => filesNext(document, this.#options.node, work), signal)
      case 'refiled':
        return this.#propose((document) => refiled(document, this.#options.node), signal)
      case 'exit':
        return this.#propose((document) => exited(document, this.#options.node), signal)
    }
  }

  /** What did not go at all, such as a damaged record, is no reason to try again at once. */
  async #giveBack(plan: GiveBackPlan, signal: AbortSignal): Promise<void> {
    const { records, left, corrupt } = await this.#means.handoffs.giveBack(plan, { signal })
    if (plan.type === undefined && left > 0 && left === corrupt) this.#ruined.add(plan.partition)
    else this.#ruined.delete(plan.partition)
    if (records > 0 || left === 0) return
    const message = `partition ${plan.partition} is not wanted here, and of its records ${left} stay, ${corrupt} of them damaged`
    throw new AtollError(corrupt > 0 ? 'ATOLL_CORRUPT' : 'ATOLL_OVERLOADED', message)
  }

  /** Of each record to those who hold it by its bucket type. */
  async #deliverHints({ partition, node, to }: Hints, signal: AbortSignal): Promise<void> {
    const { handoffs, placement, replicasOf } = this.#means
    const holders = placement().primaries(partition, MAX_REPLICAS)
    const targets = holders.flatMap((holder, position) =>
      to.includes(holder.node) ? [{ holder, position }] : [],
    )
    const select = ({ type }: KeyId) => {
      const n = replicasOf(type) ?? MAX_REPLICAS
      return targets.flatMap(({ holder, position }) => (position < n ? [holder] : []))
    }
    await handoffs.deliverHints({ partition, node, select }, { signal })
  }

  /**
   * Only what the new holder will be a replica of: bucket types with fewer replicas do not reach so far. What is written
   * meanwhile, and for as long as somebody may not know of the new holder, is handed on to it.
   */
  async #copy({ partition, to }: Move, signal: AbortSignal): Promise<void> {
    const { handoffs, placement, replicasOf, vnodes } = this.#means
    const position = placement().primaries(partition, MAX_REPLICAS).length
    const target = [{ node: to, partition }]
    const select = (id: KeyId) => ((replicasOf(id.type) ?? 0) > position ? target : [])
    // A copy that missed a write does not go on where it stopped, but begins anew.
    if (vnodes.mirrors.of(partition)?.get(to)?.spoilt === true) this.#spoiltCopies += 1
    vnodes.mirrors.begin(partition, to)
    const id = `add.${this.#life}.${this.#spoiltCopies}.${partition}.${to}`
    await handoffs.refill({ id, partition, select, signal })
    if (await vnodes.mirrors.makeFirm(partition, to)) return
    throw new AtollError(
      'ATOLL_UNREACHABLE',
      `${to} missed writes of partition ${partition} while it was filled`,
    )
  }

  /** Says that a move is done; rejects if the document cannot be brought to say so. */
  #report(move: Handed): Promise<void> {
    this.#batch ??= this.#openBatch()
    this.#batch.moves.push(move)
    return this.#batch.reported
  }

  #openBatch(): Batch {
    const moves: Handed[] = []
    const stop = new AbortController()
    this.#reportStops.add(stop)
    const before = this.#reporting
    const report = async () => {
      // Reports of one node would only be in each other's way.
      await before
      await this.#runtime.clock.sleep(REPORT_MS, { signal: stop.signal })
      this.#batch = undefined
      const { node } = this.#options
      await this.#propose((document) => reported(document, node, moves), stop.signal)
    }
    const reporting = report().finally(() => this.#reportStops.delete(stop))
    this.#reporting = reporting.catch(() => {})
    return { moves, reported: reporting }
  }

  async #propose(edit: Edit, signal: AbortSignal): Promise<void> {
    await this.#means.membership.propose(edit, { signal, timeoutMs: REPORT_TIMEOUT_MS })
  }

  async #refill(refill: Refill, signal: AbortSignal): Promise<void> {
    const { node } = this.#options
    const { document: before } = this.#means.membership
    const held = before === undefined ? NONE : heldBy(before, node)
    await (isRestored(refill) ? this.#refillRestored(refill, signal) : this.#refillRaised(refill, signal))
    await this.#propose((document) => offered(document, node, { id: refill.id, held }), signal)
  }

  /** To the next replicas that the bucket type gets, from each that it has. */
  async #refillRaised(refill: RaisedRefill, signal: AbortSignal): Promise<void> {
    const { id, type: raised, from } = refill
    const { handoffs, membership, placement, vnodes } = this.#means
    const current = placement()
    const upTo = membership.document === undefined ? refill.to : filledNext(membership.document, refill)
    const held = new Set(await vnodes.partitions())
    for (const partition of current.partitionsOf(this.#options.node, from).filter((own) => held.has(own))) {
      const targets = current.primaries(partition, upTo).slice(from)
      const select = ({ type }: KeyId) => (type === raised ? targets : [])
      await handoffs.refill({ id: `type.${id.replaceAll('/', '.')}`, partition, select, signal })
    }
  }

  /** Everything that lies here of its partitions, whatever for: a hint may be the only other copy of what it lacks. */
  async #refillRestored({ id, node: to }: RestoredRefill, signal: AbortSignal): Promise<void> {
    const { handoffs, placement, replicasOf, vnodes } = this.#means
    const current = placement()
    for (const partition of await vnodes.partitions()) {
      const position = current.primaries(partition, MAX_REPLICAS).findIndex(({ node }) => node === to)
      if (position < 0) continue
      const target = [{ node: to, partition }]
      const select = ({ type }: KeyId) => ((replicasOf(type) ?? 0) > position ? target : [])
      await handoffs.refill({ id: `restored.${id.replaceAll('/', '.')}`, partition, select, signal })
    }
  }
}

/**
 * One after the other, since the first may be the end of the second: who waited for a copy from here waits for one from
 * the new owner. A document that was decided meanwhile may have given up some of them as well.
 */
function reported(document: ClusterDocument, node: NodeName, done: readonly Handed[]): ClusterDocument {
  const isCopy = ({ kind }: Handed) => kind === 'add'
  const inOrder = [...done.filter(isCopy), ...done.filter((move) => !isCopy(move))]
  return inOrder.reduce(
    (known, one) => (awaits(known, node, one) ? handed(known, node, [one]) : known),
    document,
  )
}

function awaits(document: ClusterDocument, node: NodeName, { partition, kind, to }: Handed): boolean {
  return document.moves.some((move) => {
    if (move.partition !== partition || move.kind !== kind || move.to !== to) return false
    return (move.kind === 'add' ? move.waiting.includes(node) : move.from === node) && isReady(document, move)
  })
}
