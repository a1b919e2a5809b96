import { isAtollError, Lifecycle, messageOf, type Runtime, type Timer } from '@atoll/core'
import type { ClusterDocument } from '@atoll/membership'
import { MAX_REPLICAS, type NodeName, overlapping } from '@atoll/ring'
import { DataTasks, type DataTasksParts } from './data-tasks.ts'
import { type DataWork, heldBy, lostBetween, nameOfWork, type Surplus, workFor } from './data-work.ts'

export interface DataMoverCollaborators extends Omit<DataTasksParts, 'runtime' | 'node'> {
  readonly isUp: (node: NodeName) => boolean
  /** The bucket types of the cluster. */
  readonly types: () => readonly string[]
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
/** What is finished before the records are filed anew, or belongs to that. */
const GO_ON: ReadonlySet<DataWork['kind']> = new Set(['cancel', 'release', 'refile', 'take-turn', 'refiled'])

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
  readonly #tasks: DataTasks
  #stopped = true
  #timer: Timer | undefined
  #looking: Promise<void> | undefined
  #lookAgain = false

  constructor(runtime: Runtime, collaborators: DataMoverCollaborators, options: DataMoverOptions) {
    super()
    this.label = `data mover of ${options.node}`
    this.#runtime = runtime
    this.#means = collaborators
    this.#options = options
    this.#tasks = new DataTasks({ ...collaborators, runtime, node: options.node })
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
    this.#tasks.ruined.clear()
    this.look()
  }

  protected async onOpen(): Promise<void> {
    this.#stopped = false
    this.#tasks.begin()
    this.#retries.clear()
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
    this.#tasks.stop(reason)
    await this.#looking
    await Promise.all([...this.#underWay.values()].map(({ over }) => over))
  }

  /** A new holder is known now; or it will not be one, and gets nothing any more. */
  #settleMirrors(document: ClusterDocument, previous: ClusterDocument | undefined): void {
    const { epoch, replicas, moves, ring } = document
    const { mirrors, filed } = this.#means.vnodes
    for (const node of lostBetween(previous, document)) mirrors.lost(node)
    this.#oweUnseen(document, previous)
    for (const { partition, to, stage } of mirrors.all()) {
      const [part = partition] = overlapping(partition, filed, ring.partitions)
      const isComing = moves.some((move) => move.kind === 'add' && move.partition === part && move.to === to)
      if (replicas[part]?.includes(to)) mirrors.settle(partition, to, epoch)
      else if (!isComing || typeof stage === 'number') mirrors.end(partition, to)
    }
  }

  /** What was written here since an earlier life of this node has said that its copy is done, no copy has had. */
  #oweUnseen({ replicas, ring }: ClusterDocument, previous: ClusterDocument | undefined): void {
    const { vnodes } = this.#means
    if (previous === undefined || previous.ring.partitions !== vnodes.filed) return
    for (const { kind, partition, to } of previous.moves) {
      const [part = partition] = overlapping(partition, vnodes.filed, ring.partitions)
      const wasHolder = previous.replicas[partition]?.includes(this.#options.node) === true
      if (kind !== 'add' || !wasHolder || replicas[part]?.includes(to) !== true) continue
      if (vnodes.mirrors.of(partition)?.get(to) === undefined) void vnodes.owe({ partition, node: to })
    }
  }

  /** A node that came back with other data has lost what was sent to it: to go on behind that would leave a gap. */
  readonly #onDocument = (document: ClusterDocument, previous: ClusterDocument | undefined): void => {
    this.#settleMirrors(document, previous)
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
        // What would begin now would be begun behind the back of whoever closes this, and be waited for.
        if (this.#stopped) return
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
    const known = await vnodes.partitions()
    const { document } = membership
    if (document === undefined) return []
    const isFiled = vnodes.filed === document.ring.partitions
    if (!isFiled) this.#pause()
    const held = isFiled ? await this.#lookedAt(known, document) : known
    const surplus = isFiled ? await this.#surplus(held) : []
    const { node } = this.#options
    const isGoing = document.members.get(node)?.state === 'exiting'
    // Nobody can be given what is damaged: a node that leaves does not wait for that.
    const left = isGoing ? held.filter((partition) => !this.#tasks.ruined.has(partition)) : held
    const outgoing = handoffs.outgoing()
    const hinted = isFiled ? vnodes.hints.all() : []
    return workFor({ node, document, filed: vnodes.filed, held: left, surplus, hinted, outgoing, isUp })
  }

  /**
   * Without those partitions of other nodes of which nothing is left: a count that is wrong would have them given back for
   * ever, and a node that leaves would never go.
   */
  async #lookedAt(partitions: readonly number[], document: ClusterDocument): Promise<readonly number[]> {
    const own = heldBy(document, this.#options.node)
    const held: number[] = []
    for (const partition of partitions)
      if (own.has(partition) || (await this.#means.vnodes.holds(partition))) held.push(partition)
    return held
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
    const running = this.#tasks.do(work, stop.signal).then(
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
}
