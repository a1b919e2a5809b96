import { exceedsRoom, isWhole, type StoredRecord } from '@atoll/causality'
import type { KeyId, Runtime } from '@atoll/core'
import { type AtollError, assert, isAtollError, returnBuffer } from '@atoll/core'
import { callOrStream, FRAME_ROOM, isCapable, type RpcEndpoint } from '@atoll/transport'
import { checkPlaceKnown, type MovingRecord, type VnodeHost, WRITE_IDS } from '@atoll/vnode'
import type { Job } from './jobs.ts'
import { endMethod, offerMethod, sendMethod } from './methods.ts'
import type { HandoffOptions } from './options.ts'
import { Pace } from './pace.ts'
import { beginPush, nextPush, type PushEvent, type PushMeans, type PushMessage } from './push-machine.ts'

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

/** What became of records that another vnode shall have. */
export interface Brought {
  /** It has these durably, as they are or merged into what it has. */
  readonly held: readonly MovingRecord[]
  /** It lacks these, and their values are damaged here. */
  readonly damaged: readonly MovingRecord[]
}

/** A record with its values, as it is now. */
interface ToSend {
  readonly id: KeyId
  readonly record: StoredRecord
  /** Whether its values were read for this message, and nobody else has them. */
  readonly isRead: boolean
  /** In its message. */
  readonly at: number
}

interface Read {
  readonly records: readonly ToSend[]
  readonly damaged: readonly MovingRecord[]
}

type Message = PushMessage<MovingRecord>
type Sent = Exclude<PushEvent<MovingRecord>, { readonly kind: 'lacking' }>

/** Of one page; each has up to `pageBytes`, or one record. */
const MESSAGES_AT_ONCE = 4
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
   * Those that are neither held there nor damaged here are gone from here, or the vnode will never take them. Values that
   * lie apart from their heads are read when they are sent.
   */
  async push(records: readonly MovingRecord[], to: Place, options: PushOptions): Promise<Brought> {
    const abilities = this.#endpoint.capabilitiesOf(to.node)
    if (to.node !== this.#host.node) for (const { id } of records) checkPlaceKnown(to.node, abilities, id)
    const means: PushMeans<MovingRecord> = {
      isLarge: goesAlone,
      messageBytes: this.#options.pageBytes,
      messagesAtOnce: MESSAGES_AT_ONCE,
    }
    const damaged: MovingRecord[] = []
    const sending = new Map<Message, Promise<Sent>>()
    let state = beginPush(records)
    if (state.at === 'offering') {
      state = nextPush(state, { kind: 'lacking', places: await this.#offer(records, to, options) }, means)
      if (state.at !== 'offering') options.job.skipped += state.held.length
    }
    try {
      while (state.at === 'sending') {
        for (const message of state.underWay) {
          if (!sending.has(message)) sending.set(message, this.#bring(message, to, { ...options, damaged }))
        }
        const event = await Promise.race(sending.values())
        sending.delete(event.message)
        state = nextPush(state, event, means)
      }
    } finally {
      await Promise.allSettled(sending.values())
    }
    assert(state.at === 'done', 'what was offered is sent')
    return { held: state.held, damaged }
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

  async #bring(
    message: Message,
    to: Place,
    options: PushOptions & { readonly damaged: MovingRecord[] },
  ): Promise<Sent> {
    const read = await this.#read(message)
    try {
      const sent = new Set(
        read.records.length === 0 ? [] : await this.#send({ message, records: read.records }, to, options),
      )
      for (const one of read.damaged) {
        options.damaged.push(one)
        options.job.failed('ATOLL_CORRUPT')
      }
      return { kind: 'sent', message, refused: [...message.keys()].filter((at) => !sent.has(at)) }
    } catch (error) {
      if (!isAtollError(error, 'ATOLL_TOO_LARGE')) throw error
      if (message.length === 1) this.#leaveBehind(error.code, options.job)
      return { kind: 'too-large', message }
    }
  }

  /** What is gone meanwhile is left out. */
  async #read(message: Message): Promise<Read> {
    const records: ToSend[] = []
    const damaged: MovingRecord[] = []
    for (const [at, moving] of message.entries()) {
      const { id, partition, record: head } = moving
      const isRead = !isWhole(head)
      const { record, corrupt } = isRead
        ? await this.#host.handoffOf(partition).read(id)
        : { record: head, corrupt: false }
      if (record !== undefined) records.push({ id, record, isRead, at })
      else if (corrupt) damaged.push(moving)
    }
    return { records, damaged }
  }

  /** Answers the places, in the message, of those that the vnode has now. */
  async #send(
    { message, records }: { readonly message: Message; readonly records: readonly ToSend[] },
    to: Place,
    { job, signal, hurried = false }: PushOptions,
  ): Promise<readonly number[]> {
    const { partition } = to
    const bytes = records.reduce((sum, { at }) => sum + (message[at]?.bytes ?? 0), 0)
    const { refused, pauseMs } =
      to.node === this.#host.node
        ? { refused: await mergeAll(this.#host, partition, records), pauseMs: 0 }
        : await callOrStream(
            { endpoint: this.#endpoint, clock: this.#runtime.clock },
            {
              node: to.node,
              method: sendMethod,
              request: { partition, kind: job.identity.kind, records, partitions: this.#host.filed },
              isLarge: records.some(goesAlone),
            },
            { timeoutMs: this.#options.callTimeoutMs, signal },
          )
    // Whoever has answered has written them, or has let go of them.
    for (const { record, isRead } of records) if (isRead) returnValues(record)
    for (const { code } of refused) this.#leaveBehind(code, job)
    job.moved(records.length - refused.length, bytes)
    const delayMs = Math.max(pauseMs, this.#pace.charge(bytes))
    if (delayMs > 0 && !hurried) await this.#runtime.clock.sleep(delayMs, { signal })
    const refusedAt = new Set(refused.map(({ at }) => at))
    return records.filter((_, place) => !refusedAt.has(place)).map(({ at }) => at)
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
  records: readonly Pick<ToSend, 'id' | 'record'>[],
): Promise<readonly { readonly at: number; readonly code: AtollError['code'] }[]> {
  const vnode = host.handoffOf(partition)
  const outcomes = await Promise.allSettled(records.map(({ id, record }) => vnode.merge(id, record)))
  return outcomes.flatMap((outcome, at) => {
    if (outcome.status === 'fulfilled') return []
    if (!isAtollError(outcome.reason, 'ATOLL_TOO_LARGE')) throw outcome.reason
    return [{ at, code: outcome.reason.code }]
  })
}

/** Nobody looks at the values of a record any more; they lie in arrays of their own. */
export function returnValues({ siblings }: StoredRecord): void {
  for (const { value } of siblings) returnBuffer(value)
}

function goesAlone({ record }: Pick<MovingRecord, 'record'>): boolean {
  return exceedsRoom(record, FRAME_ROOM)
}
