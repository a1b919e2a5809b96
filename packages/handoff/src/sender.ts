import { exceedsRoom } from '@atoll/causality'
import type { Runtime } from '@atoll/core'
import { type AtollError, isAtollError } from '@atoll/core'
import { callOrStream, FRAME_ROOM, isCapable, type RpcEndpoint } from '@atoll/transport'
import { type MovingRecord, type VnodeHost, WRITE_IDS } from '@atoll/vnode'
import type { Job } from './jobs.ts'
import { endMethod, offerMethod, sendMethod } from './methods.ts'
import type { HandoffOptions } from './options.ts'
import { Pace } from './pace.ts'
import { beginPush, nextPush, type PushEvent, type PushState } from './push-machine.ts'

export interface Place {
  readonly node: string
  readonly partition: number
}

export interface PushOptions {
  readonly job: Job
  readonly signal: AbortSignal
  /** True if somebody waits for it: then it is counted, but not held back. */
  readonly hurried?: boolean
}

/** Nothing depends on it that the end of a handoff is heard. */
const END_TIMEOUT_MS = 1000

/** Brings records to vnodes of other nodes: offers them, and sends what is lacking there. */
export class Sender {
  readonly #runtime: Runtime
  readonly #host: VnodeHost
  readonly #endpoint: Pick<RpcEndpoint, 'call' | 'openStream' | 'capabilitiesOf'>
  readonly #options: Required<HandoffOptions>
  readonly #pace: Pace

  constructor(
    runtime: Runtime,
    parts: {
      readonly host: VnodeHost
      readonly endpoint: Pick<RpcEndpoint, 'call' | 'openStream' | 'capabilitiesOf'>
    },
    options: Required<HandoffOptions>,
  ) {
    this.#runtime = runtime
    this.#host = parts.host
    this.#endpoint = parts.endpoint
    this.#options = options
    this.#pace = new Pace(runtime.clock, options.sendBytesPerSecond)
  }

  /**
   * Resolves with the records that the other vnode holds durably, as they are or merged into what it has: all but those
   * that it will never take.
   */
  async push(
    records: readonly MovingRecord[],
    to: Place,
    options: PushOptions,
  ): Promise<readonly MovingRecord[]> {
    let state = beginPush(records)
    for (;;) {
      if (state.at === 'done') return state.held
      const event = await this.#take(state, to, options)
      state = nextPush(state, event, isLarge)
      if (event.kind === 'lacking' && state.at !== 'offering') options.job.skipped += state.held.length
    }
  }

  /** Says that nothing more comes for now, so that another vnode gets its turn. Best effort. */
  async end(to: Place, { kind }: Pick<Job['identity'], 'kind'>): Promise<void> {
    if (to.node === this.#host.node) return
    const options = { timeoutMs: Math.min(END_TIMEOUT_MS, this.#options.callTimeoutMs) }
    await this.#endpoint
      .call(to.node, endMethod, { partition: to.partition, kind, partitions: this.#host.filed }, options)
      .catch(() => {})
  }

  #offer(
    records: readonly MovingRecord[],
    to: Place,
    { job, signal }: PushOptions,
  ): Promise<readonly number[]> {
    if (to.node === this.#host.node) return this.#lackingHere(records, to)
    const { partition } = to
    const knowsWrites = isCapable(this.#endpoint, to.node, WRITE_IDS)
    const entries = records.map(({ id, digest, writes }) =>
      knowsWrites ? { id, digest, writes } : { id, digest },
    )
    const timeoutMs = this.#options.callTimeoutMs
    const request = { partition, kind: job.identity.kind, entries, partitions: this.#host.filed }
    return this.#endpoint
      .call(to.node, offerMethod, request, { timeoutMs, signal })
      .then(({ lacking }) => lacking)
  }

  async #lackingHere(records: readonly MovingRecord[], { partition }: Place): Promise<readonly number[]> {
    const vnode = this.#host.handoffOf(partition)
    const held = await Promise.all(records.map((record) => vnode.holds(record)))
    return held.flatMap((isHeld, at) => (isHeld ? [] : [at]))
  }

  async #take(
    state: Exclude<PushState<MovingRecord>, { readonly at: 'done' }>,
    to: Place,
    options: PushOptions,
  ): Promise<PushEvent> {
    if (state.at === 'offering') {
      return { kind: 'lacking', places: await this.#offer(state.items, to, options) }
    }
    const [message = []] = state.messages
    try {
      return { kind: 'sent', refused: await this.#send(message, to, options) }
    } catch (error) {
      if (!isAtollError(error, 'ATOLL_TOO_LARGE')) throw error
      if (message.length === 1) this.#leaveBehind(error.code, options.job)
      return { kind: 'too-large' }
    }
  }

  /** Answers the places of those that the vnode will never take. */
  async #send(
    records: readonly MovingRecord[],
    to: Place,
    { job, signal, hurried = false }: PushOptions,
  ): Promise<readonly number[]> {
    const { partition } = to
    const bytes = records.reduce((sum, record) => sum + record.bytes, 0)
    const { refused, pauseMs } =
      to.node === this.#host.node
        ? await this.#mergeHere(records, to)
        : await callOrStream(
            { endpoint: this.#endpoint, clock: this.#runtime.clock },
            {
              node: to.node,
              method: sendMethod,
              request: { partition, kind: job.identity.kind, records, partitions: this.#host.filed },
              isLarge: records.some(isLarge),
            },
            { timeoutMs: this.#options.callTimeoutMs, signal },
          )
    for (const { code } of refused) this.#leaveBehind(code, job)
    job.moved(records.length - refused.length, bytes)
    const delayMs = Math.max(pauseMs, this.#pace.charge(bytes))
    if (delayMs > 0 && !hurried) await this.#runtime.clock.sleep(delayMs, { signal })
    return refused.map(({ at }) => at)
  }

  async #mergeHere(records: readonly MovingRecord[], { partition }: Place) {
    return { refused: await mergeAll(this.#host, partition, records), pauseMs: 0 }
  }

  #leaveBehind(code: string, job: Job): void {
    job.failed(code)
    this.#runtime.log.warn({ ...job.identity, code }, 'a record is refused where it should move to')
  }
}

/** Merges records into an own vnode; answers which it will never take. Rejects if any of the others failed. */
export async function mergeAll(
  host: VnodeHost,
  partition: number,
  records: readonly Pick<MovingRecord, 'id' | 'record'>[],
): Promise<readonly { readonly at: number; readonly code: AtollError['code'] }[]> {
  const vnode = host.handoffOf(partition)
  const outcomes = await Promise.allSettled(records.map(({ id, record }) => vnode.merge(id, record)))
  return outcomes.flatMap((outcome, at) => {
    if (outcome.status === 'fulfilled') return []
    if (!isAtollError(outcome.reason, 'ATOLL_TOO_LARGE')) throw outcome.reason
    return [{ at, code: outcome.reason.code }]
  })
}

function isLarge({ record }: MovingRecord): boolean {
  return exceedsRoom(record, FRAME_ROOM)
}
