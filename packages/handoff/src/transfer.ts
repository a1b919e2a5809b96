import { AtollError } from '@atoll/core'
import type { GatePhase, HandoffVnode, Page, TransferNote } from '@atoll/vnode'
import { Job } from './jobs.ts'
import { sealMethod } from './methods.ts'
import type { Site } from './site.ts'

export interface TransferPlan {
  readonly partition: number
  readonly to: string
  /** True if the partition was handed over to this node before, and goes back. */
  readonly isReturn: boolean
}

/** Notes may come in as fast as they are worked off; after so many rounds the pause has to be long enough. */
const MAX_CATCH_UPS = 8

interface SendNoted {
  readonly signal: AbortSignal
  readonly hurried?: boolean
  /** Default as many as there are. */
  readonly maxPages?: number
}

/**
 * Moves a vnode to another node, from wherever an earlier attempt has come to:
 *
 * 1. copy, in pages in the order of keys, behind a durable cursor. Every write from the beginning on leaves a note in its
 *    own batch.
 * 2. catch up: send what is noted, and forget the notes, until few are left.
 * 3. hand over: writes wait; what is under way ends, the last notes are sent, the other node is told, and it is written
 *    down here that this vnode is sealed. From then on it only forwards.
 *
 * Until the last step the vnode serves as ever, and a failure costs nothing but another attempt.
 */
export class Transfer {
  readonly plan: TransferPlan
  readonly job: Job
  readonly #site: Site
  readonly #vnode: HandoffVnode

  constructor(site: Site, plan: TransferPlan) {
    this.plan = plan
    this.#site = site
    this.#vnode = site.host.handoffOf(plan.partition)
    const { partition, to } = plan
    this.job = new Job(site.runtime, { kind: 'transfer', direction: 'out', partition, from: site.node, to })
  }

  /** Resolves when the vnode is sealed and the other node knows. */
  async attempt(signal: AbortSignal): Promise<void> {
    const note = await this.#begin()
    if (note.phase === 'sealed') return this.#sealAgain(signal)
    if (note.phase === 'copy') await this.#copy(note, signal)
    await this.#catchUp(signal)
    await this.#handOver(signal)
  }

  /** The note of an earlier attempt, or that of a beginning. */
  async #begin(): Promise<TransferNote> {
    const { to, isReturn } = this.plan
    const known = await this.#vnode.readTransfer()
    const isSame = known?.to === to && known.isReturn === isReturn
    if (known?.phase === 'sealed' && !isSame) {
      throw new AtollError(
        'ATOLL_CHANGE_REFUSED',
        `partition ${this.plan.partition} is ${known.to}'s already`,
      )
    }
    this.#vnode.startNoting()
    if (known?.phase !== 'sealed') this.#setGate('copying')
    if (known !== undefined && isSame) return known
    // Queued behind everything that was decided before changes were noted: that is on disk when the first page is read.
    const note: TransferNote = { to, phase: 'copy', cursor: undefined, isReturn }
    await this.#vnode.saveTransfer(note)
    return note
  }

  async #copy(note: TransferNote, signal: AbortSignal): Promise<void> {
    this.job.phase = 'copying'
    // A cursor that comes to the disk late costs nothing but records that are offered again after a crash.
    let saved = Promise.resolve()
    for await (const page of this.#vnode.pages(note.cursor, this.#site.options)) {
      await this.#push(page, { signal })
      await saved
      if (page.next === undefined) break
      saved = this.#vnode.saveTransfer({ ...note, cursor: page.next })
      saved.catch(() => {})
    }
    await this.#vnode.saveTransfer({ ...note, phase: 'catch-up', cursor: undefined })
  }

  /** Few notes left, or as many as come in while they are worked off: the rest is sent while writes wait. */
  async #catchUp(signal: AbortSignal): Promise<void> {
    this.job.phase = 'catching-up'
    const { pageRecords } = this.#site.options
    for (let round = 0; round < MAX_CATCH_UPS; round++) {
      const noted = await this.#vnode.countNotes()
      if (noted <= pageRecords && round > 0) return
      await this.#sendNoted({ signal, maxPages: Math.ceil(noted / pageRecords) })
    }
  }

  /** Sends noted records in the order of keys, each once at most. */
  async #sendNoted(options: SendNoted): Promise<void> {
    const { maxPages = Number.POSITIVE_INFINITY, ...push } = options
    let next: Uint8Array | undefined
    for (let pages = 0; pages < maxPages; pages++) {
      const changed = this.#vnode.watch()
      await this.#vnode.idle()
      const page = await this.#vnode.notedPage(next, this.#site.options)
      await this.#push(page, push)
      // A note whose record has changed again is another one, under the same key.
      await this.#vnode.forgetNotes(page.notes.filter((key) => !changed.has(this.#vnode.nameOfNote(key))))
      if (page.next === undefined) return
      next = page.next
    }
  }

  async #handOver(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#site.runtime
    signal.throwIfAborted()
    this.job.phase = 'sealing'
    this.#setGate('pausing')
    const startMs = clock.monotonicMs()
    try {
      await this.#withinPause(async (pause) => {
        await this.#vnode.idle()
        await this.#sendNoted({ signal: pause, hurried: true })
      })
      await (this.plan.isReturn ? this.#giveUp() : this.#seal())
    } catch (error) {
      if (this.#site.host.gates.get(this.plan.partition) !== undefined) this.#setGate('copying')
      throw error
    }
    const pausedMs = clock.monotonicMs() - startMs
    this.#site.runtime.metrics.observe('atoll_handoff_pause_ms', pausedMs)
    log.info({ ...this.plan, pausedMs }, 'a partition was handed over')
  }

  async #seal(): Promise<void> {
    const { to, isReturn } = this.plan
    await this.#tell()
    try {
      await this.#vnode.saveTransfer({ to, phase: 'sealed', cursor: undefined, isReturn })
    } catch (error) {
      // Whether the note is there nobody knows. Should it be, then what is written from now on is noted, and is sent
      // before anything is forwarded.
      await this.#vnode.saveTransfer({ to, phase: 'catch-up', cursor: undefined, isReturn }).catch(() => {})
      throw error
    }
    this.#setGate('sealed')
    this.job.phase = 'sealed'
  }

  /** This node accepts nothing any more, whatever becomes of the message; the other one then does. */
  async #giveUp(): Promise<void> {
    const { gates } = this.#site.host
    gates.revoke(this.plan.partition)
    await this.#tell()
    await this.forget()
  }

  /** Ends the transfer as if it had never been. */
  async forget(): Promise<void> {
    await this.#vnode.forgetTransfer()
    this.#vnode.stopNoting()
    this.#site.host.gates.remove(this.plan.partition)
    // Notes without a transfer do no harm: a later one sends what they name.
    await this.#vnode.clearNotes().catch(() => {})
  }

  /** After a restart: the other node may have restarted too, and has to hear it again before anything is forwarded. */
  async #sealAgain(signal: AbortSignal): Promise<void> {
    try {
      await this.#sendNoted({ signal })
      await this.#tell()
    } catch (error) {
      if (this.#isResealing()) this.#setGate('cut-off')
      throw error
    }
    if (this.#isResealing()) this.#setGate('sealed')
    this.job.phase = 'sealed'
  }

  #isResealing(): boolean {
    const phase = this.#site.host.gates.get(this.plan.partition)?.phase
    return phase === 'resealing' || phase === 'cut-off'
  }

  async #tell(): Promise<void> {
    const { partition, to } = this.plan
    const { host, endpoint, options } = this.#site
    await endpoint.call(
      to,
      sealMethod,
      { partition, partitions: host.filed },
      { timeoutMs: options.pauseTimeoutMs },
    )
  }

  async #push(
    page: Page,
    options: { readonly signal: AbortSignal; readonly hurried?: boolean },
  ): Promise<void> {
    const to = { node: this.plan.to, partition: this.plan.partition }
    await this.#site.sender.push(page.records, to, { ...options, job: this.job })
  }

  /** Rejects with `ATOLL_TIMEOUT` if the work takes longer than writes may wait. */
  async #withinPause(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { pauseTimeoutMs } = this.#site.options
    const abort = new AbortController()
    const late = new AtollError('ATOLL_TIMEOUT', `writes would wait for more than ${pauseTimeoutMs} ms`)
    let timer: { cancel(): void } | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = this.#site.runtime.clock.timer(pauseTimeoutMs, () => {
        abort.abort(late)
        reject(late)
      })
    })
    try {
      await Promise.race([work(abort.signal), timeout])
    } finally {
      timer?.cancel()
    }
  }

  #setGate(phase: GatePhase): void {
    const { partition, to, isReturn } = this.plan
    this.#site.host.gates.set(partition, { to, phase, isReturn })
  }
}
