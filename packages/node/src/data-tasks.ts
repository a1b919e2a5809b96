import { AtollError, type KeyId, type Runtime, toHex } from '@atoll/core'
import type { GiveBackPlan, Handoffs } from '@atoll/handoff'
import {
  type Edit,
  exited,
  filesNext,
  isRestored,
  type Membership,
  type Move,
  type RaisedRefill,
  type Refill,
  type RestoredRefill,
  refiled,
} from '@atoll/membership'
import { MAX_REPLICAS, type NodeName, type Placement } from '@atoll/ring'
import type { VnodeHost } from '@atoll/vnode'
import { type DataWork, filledNext, heldBy, offered, offeredTo } from './data-work.ts'
import { MoveReports, proposeEdit } from './move-reports.ts'

export interface DataTasksParts {
  readonly runtime: Runtime
  readonly node: NodeName
  readonly membership: Membership
  readonly handoffs: Handoffs
  readonly vnodes: VnodeHost
  readonly placement: () => Placement
  /** Replicas of a bucket type; undefined for one that this node does not know. */
  readonly replicasOf: (type: string) => number | undefined
}

type Hints = Extract<DataWork, { kind: 'hints' }>

const NONE: ReadonlySet<number> = new Set()

/** Does the pieces of work that bring data to where the cluster document says that it belongs. */
export class DataTasks {
  /** Partitions of which nothing is left here but damaged records, as far as is known. */
  readonly ruined = new Set<number>()
  readonly #parts: DataTasksParts
  readonly #reports: MoveReports
  /** Copies that an earlier life of this node began may not be gone on with: the copy of a copy may be gone. */
  #life = ''
  #spoiltCopies = 0

  constructor(parts: DataTasksParts) {
    this.#parts = parts
    this.#reports = new MoveReports(parts)
  }

  begin(): void {
    this.#life = toHex(this.#parts.runtime.random.bytes(6))
    this.#reports.begin()
  }

  /** Ends what is being said of moves; work ends by its own signal. */
  stop(reason: Error): void {
    this.#reports.stop(reason)
  }

  /** Rejects if it is not done: then it is tried again. */
  async do(work: DataWork, signal: AbortSignal): Promise<void> {
    const { handoffs, node } = this.#parts
    switch (work.kind) {
      case 'transfer':
        await handoffs.transfer(work.move.partition, work.move.to, { signal })
        return this.#reports.report(work.move)
      case 'copy':
        return this.#reports.report({ ...work.move, reach: await this.#copy(work.move, signal) })
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
        return this.ruined.clear()
      case 'take-turn':
        return this.#propose((document) => filesNext(document, node, work), signal)
      case 'refiled':
        return this.#propose((document) => refiled(document, node), signal)
      case 'exit':
        return this.#propose((document) => exited(document, node), signal)
    }
  }

  /** What did not go at all, such as a damaged record, is no reason to try again at once. */
  async #giveBack(plan: GiveBackPlan, signal: AbortSignal): Promise<void> {
    const { records, left, corrupt } = await this.#parts.handoffs.giveBack(plan, { signal })
    if (plan.type === undefined && left > 0 && left === corrupt) this.ruined.add(plan.partition)
    else this.ruined.delete(plan.partition)
    if (records > 0 || left === 0) return
    const message = `partition ${plan.partition} is not wanted here, and of its records ${left} stay, ${corrupt} of them damaged`
    throw new AtollError(corrupt > 0 ? 'ATOLL_CORRUPT' : 'ATOLL_OVERLOADED', message)
  }

  /** Of each record to those who hold it by its bucket type. */
  async #deliverHints({ partition, node: missing }: Hints, signal: AbortSignal): Promise<void> {
    const { handoffs, node, placement, replicasOf } = this.#parts
    // By the list of now, not by that of the look: what is offered to nobody is forgotten.
    const holders = placement().primaries(partition, MAX_REPLICAS)
    const names = holders.map((holder) => holder.node)
    const targets = new Set(offeredTo(names, { missing, own: node }))
    const select = ({ type }: KeyId) =>
      holders.slice(0, replicasOf(type) ?? MAX_REPLICAS).filter((holder) => targets.has(holder.node))
    await handoffs.deliverHints({ partition, node: missing, select }, { signal })
  }

  /**
   * Only what the new holder will be a replica of: bucket types with no more replicas than the list is long now lie
   * before it. Answers how long the list is: by a shorter one more types would have been copied. What is written
   * meanwhile, and for as long as somebody may not know of the new holder, is handed on to it.
   */
  async #copy({ partition, to }: Move, signal: AbortSignal): Promise<number> {
    const { handoffs, placement, replicasOf, vnodes } = this.#parts
    const reach = placement().primaries(partition, MAX_REPLICAS).length
    const target = [{ node: to, partition }]
    const select = (id: KeyId) => ((replicasOf(id.type) ?? 0) > reach ? target : [])
    // A copy that missed a write does not go on where it stopped, but begins anew.
    if (vnodes.mirrors.of(partition)?.get(to)?.spoilt === true) this.#spoiltCopies += 1
    // An attempt before has copied everything, and whoever was told of that may have heard it.
    if (!vnodes.mirrors.isWhole(partition, to)) vnodes.mirrors.begin(partition, to)
    const id = `add.${this.#life}.${this.#spoiltCopies}.${partition}.${to}.${reach}`
    await handoffs.refill({ id, partition, select, signal })
    if (await vnodes.mirrors.makeFirm(partition, to)) return reach
    throw new AtollError(
      'ATOLL_UNREACHABLE',
      `${to} missed writes of partition ${partition} while it was filled`,
    )
  }

  async #refill(refill: Refill, signal: AbortSignal): Promise<void> {
    const { membership, node } = this.#parts
    const { document: before } = membership
    const held = before === undefined ? NONE : heldBy(before, node)
    await (isRestored(refill) ? this.#refillRestored(refill, signal) : this.#refillRaised(refill, signal))
    await this.#propose((document) => offered(document, node, { id: refill.id, held }), signal)
  }

  /** To the next replicas that the bucket type gets, from each that it has. */
  async #refillRaised(refill: RaisedRefill, signal: AbortSignal): Promise<void> {
    const { id, type: raised, from } = refill
    const { handoffs, membership, node, placement, vnodes } = this.#parts
    const current = placement()
    const upTo = membership.document === undefined ? refill.to : filledNext(membership.document, refill)
    const held = new Set(await vnodes.partitions())
    for (const partition of current.partitionsOf(node, from).filter((own) => held.has(own))) {
      const targets = current.primaries(partition, upTo).slice(from)
      const select = ({ type }: KeyId) => (type === raised ? targets : [])
      await handoffs.refill({ id: `type.${id.replaceAll('/', '.')}`, partition, select, signal })
    }
  }

  /** Everything that lies here of its partitions, whatever for: a hint may be the only other copy of what it lacks. */
  async #refillRestored({ id, node: to }: RestoredRefill, signal: AbortSignal): Promise<void> {
    const { handoffs, placement, replicasOf, vnodes } = this.#parts
    const current = placement()
    for (const partition of await vnodes.partitions()) {
      const position = current.primaries(partition, MAX_REPLICAS).findIndex(({ node }) => node === to)
      if (position < 0) continue
      const target = [{ node: to, partition }]
      const select = ({ type }: KeyId) => ((replicasOf(type) ?? 0) > position ? target : [])
      await handoffs.refill({ id: `restored.${id.replaceAll('/', '.')}`, partition, select, signal })
    }
  }

  #propose(edit: Edit, signal: AbortSignal): Promise<void> {
    return proposeEdit(this.#parts.membership, edit, signal)
  }
}
