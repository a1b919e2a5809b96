import { AtollError, isAtollError, Lifecycle, messageOf, type Runtime, type Timer } from '@atoll/core'
import type { Membership } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import { Backoff } from '@atoll/transport'
import type { Acquaintances } from './acquaintances.ts'
import { isSilence, type Meeting, type Met, meetAll } from './meeting.ts'

export interface SeedRoundsParts {
  readonly node: NodeName
  /** Addresses. */
  readonly seeds: readonly string[]
  readonly membership: Membership
  readonly others: Pick<Acquaintances, 'book' | 'meeting'>
  readonly isUp: (node: NodeName) => boolean
}

const BACKOFF = { baseMs: 1000, capMs: 15_000 } as const

/**
 * A member may know only where the others were. It asks its seeds when it opens, and from time to time while a member
 * of its cluster is not up: whoever answers for a member, with its data, is at that address from then on. An older copy
 * may not know all members, so that a seed from which nothing was heard is asked again in any case.
 */
export class SeedRounds extends Lifecycle {
  readonly label: string
  readonly #runtime: Runtime
  readonly #parts: SeedRoundsParts
  #stop = new AbortController()
  #backoff: Backoff
  #timer: Timer | undefined
  #asking: Promise<void> | undefined
  /** What the last round came to, by seed. */
  #said: ReadonlyMap<string, string> = new Map()
  /** Some seed was silent in the last round. */
  #isOneSilent = false

  constructor(runtime: Runtime, parts: SeedRoundsParts) {
    super()
    this.label = `seeds of ${parts.node}`
    this.#runtime = runtime
    this.#parts = parts
    this.#backoff = new Backoff(runtime.random, BACKOFF)
  }

  /** Resolves after the first round. */
  protected async onOpen(): Promise<void> {
    if (this.#parts.seeds.length === 0) return
    this.#stop = new AbortController()
    this.#backoff = new Backoff(this.#runtime.random, BACKOFF)
    await this.#round()
    this.#wait()
  }

  protected async onClose(): Promise<void> {
    this.#stop.abort(new AtollError('ATOLL_CLOSED', `${this.label} were being asked when this node closed`))
    this.#timer?.cancel()
    await this.#asking
  }

  #wait(): void {
    if (this.#stop.signal.aborted) return
    const { clock } = this.#runtime
    const nowMs = clock.monotonicMs()
    this.#backoff.failed(nowMs)
    const look = () => {
      this.#asking = this.#look()
    }
    this.#timer = clock.timer(1 + this.#backoff.remainingMs(nowMs), look, { background: true })
  }

  async #look(): Promise<void> {
    if (this.#isOneSilent || this.#isMissingSome()) await this.#round()
    else this.#backoff = new Backoff(this.#runtime.random, BACKOFF)
    this.#wait()
  }

  #isMissingSome(): boolean {
    const { membership, isUp, node } = this.#parts
    const members = [...(membership.document?.members.values() ?? [])]
    return members.some((member) => member.node !== node && member.state !== 'down' && !isUp(member.node))
  }

  async #round(): Promise<void> {
    const { seeds, others } = this.#parts
    const meetings = await meetAll({ ...others.meeting(), signal: this.#stop.signal }, seeds)
    this.#isOneSilent = meetings.some((meeting) => meeting.kind === 'failed' && isSilence(meeting.error))
    this.#write(meetings)
    for (const meeting of meetings) {
      if (meeting.kind === 'met') await this.#follow(meeting.met)
    }
  }

  /** One that is of no cluster, or of another one, is not known by that address. */
  async #follow({ node, address, document, bytes }: Met): Promise<void> {
    const { membership, others } = this.#parts
    const { book } = others
    const own = membership.document
    if (document === undefined || document.clusterId !== own?.clusterId) return
    book.note(node, address)
    if (document.epoch <= own.epoch) return
    try {
      await membership.learn(bytes)
    } catch (error) {
      if (!isAtollError(error)) throw error
      this.#runtime.log.warn({ peer: node, why: messageOf(error) }, 'the document of a seed was refused')
    }
    // The newer document may not know of the address yet.
    book.note(node, address)
  }

  /** What is the same as before is not written down again. */
  #write(meetings: readonly Meeting[]): void {
    const { log } = this.#runtime
    const { node } = this.#parts
    const before = this.#said
    this.#said = new Map(meetings.map((meeting) => [meeting.seed, outcomeOf(meeting)]))
    for (const meeting of meetings) {
      const { seed } = meeting
      if (before.get(seed) === outcomeOf(meeting)) continue
      if (meeting.kind === 'failed')
        log.warn({ node, seed, why: meeting.error.message }, 'a seed could not be asked for its cluster')
      else if (meeting.kind === 'met') log.info({ node, seed, peer: meeting.met.node }, 'a seed was met')
    }
  }
}

function outcomeOf(meeting: Meeting): string {
  return meeting.kind === 'failed' ? meeting.error.code : meeting.kind
}
