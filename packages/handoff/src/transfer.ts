import { AtollError } from '@atoll/core'
import type { HandoffVnode, Page, TransferNote } from '@atoll/vnode'
import { Job } from './jobs.ts'
import { sealMethod } from './methods.ts'
import { PagesAhead } from './pages-ahead.ts'
import type { Site } from './site.ts'
import {
  beginTransfer,
  nextTransfer,
  phaseOf,
  type TransferEffect,
  type TransferEvent,
  type TransferPlan,
  type TransferRules,
  type TransferTask,
} from './transfer-machine.ts'

interface SendNoted {
  readonly signal: AbortSignal
  readonly hurried?: boolean
  readonly maxPages: number
}

/** Does what `nextTransfer` says, and tells it what came of it. */
export class Transfer {
  readonly plan: TransferPlan
  readonly job: Job
  readonly #site: Site
  readonly #vnode: HandoffVnode
  readonly #rules: TransferRules
  /** What is sent in a pause. It may last longer than that: then writes go on, and it comes to its end. */
  #sendingLast: Promise<void> = Promise.resolve()

  constructor(site: Site, plan: TransferPlan) {
    this.plan = plan
    this.#site = site
    this.#vnode = site.host.handoffOf(plan.partition)
    const { partition, to } = plan
    this.job = new Job(site.runtime, { kind: 'transfer', direction: 'out', partition, from: site.node, to })
    this.#rules = {
      plan,
      pageRecords: site.options.pageRecords,
      refused: (note) =>
        new AtollError('ATOLL_CHANGE_REFUSED', `partition ${partition} is ${note.to}'s already`),
    }
  }

  /** Resolves when the vnode is sealed and the other node knows. Nothing of an attempt goes on after it has ended. */
  async attempt(signal: AbortSignal): Promise<void> {
    const pages = new SentPages(this.#vnode, this.#site.options)
    let pausedMs: number | undefined
    try {
      for (let step = beginTransfer(); ; ) {
        const { state, effects, task } = step
        this.job.phase = phaseOf(state) ?? this.job.phase
        if (state.at === 'pausing') pausedMs = this.#site.runtime.clock.monotonicMs()
        for (const effect of effects) this.#apply(effect, pages)
        if (state.at === 'failed') throw state.cause
        if (task === undefined) break
        step = nextTransfer(this.#rules, state, await this.#eventOf(task, pages, signal))
      }
    } finally {
      await pages.close()
      await this.#sendingLast.catch(() => {})
    }
    if (pausedMs !== undefined) this.#tellPause(pausedMs)
  }

  /** Ends the transfer as if it had never been. */
  async forget(): Promise<void> {
    await this.#vnode.forgetTransfer()
    this.#vnode.stopNoting()
    this.#site.host.gates.remove(this.plan.partition)
    // Notes without a transfer do no harm: a later one sends what they name.
    await this.#vnode.clearNotes().catch(() => {})
  }

  #apply(effect: TransferEffect, pages: SentPages): void {
    const { gates } = this.#site.host
    const { partition, to, isReturn } = this.plan
    switch (effect.do) {
      case 'note-changes':
        this.#vnode.startNoting()
        break
      case 'revoke':
        gates.revoke(partition)
        break
      case 'save-cursor':
        pages.save(effect.note)
        break
      case 'gate': {
        const now = gates.get(partition)?.phase
        const isMeant = effect.over === undefined || (now !== undefined && effect.over.includes(now))
        if (isMeant) gates.set(partition, { to, phase: effect.phase, isReturn })
      }
    }
  }

  get #isServing(): boolean {
    const phase = this.#site.host.gates.get(this.plan.partition)?.phase
    return phase === undefined || phase === 'copying'
  }

  async #eventOf(task: TransferTask, pages: SentPages, signal: AbortSignal): Promise<TransferEvent> {
    try {
      return await this.#run(task, pages, signal)
    } catch (cause) {
      return { kind: 'failed', cause }
    }
  }

  async #run(task: TransferTask, pages: SentPages, signal: AbortSignal): Promise<TransferEvent> {
    switch (task.do) {
      case 'read-note':
        return { kind: 'read', note: await this.#vnode.readTransfer(), isServing: this.#isServing }
      case 'send-page':
        return { kind: 'sent', next: await pages.send(task.cursor, (page) => this.#push(page, { signal })) }
      case 'count-notes':
        return { kind: 'counted', notes: await this.#vnode.countNotes() }
      case 'save':
        await this.#vnode.saveTransfer(task.note)
        break
      case 'send-notes':
        await this.#sendNoted({ signal, maxPages: task.maxPages })
        break
      case 'send-last-notes':
        signal.throwIfAborted()
        await this.#sendLastNotes()
        break
      case 'tell':
        await this.#tell()
        break
      case 'forget':
        await this.forget()
    }
    return { kind: 'done' }
  }

  /** Sends noted records in the order of keys, each once at most. */
  async #sendNoted({ maxPages, ...push }: SendNoted): Promise<void> {
    let next: Uint8Array | undefined
    for (let pages = 0; pages < maxPages; pages++) {
      push.signal.throwIfAborted()
      next = await this.#sendNotedPage(next, push)
      if (next === undefined) return
    }
  }

  async #sendNotedPage(
    after: Uint8Array | undefined,
    push: Omit<SendNoted, 'maxPages'>,
  ): Promise<Uint8Array | undefined> {
    const changed = this.#vnode.watch()
    try {
      await this.#vnode.idle()
      const page = await this.#vnode.notedPage(after, this.#site.options)
      await this.#push(page, push)
      push.signal.throwIfAborted()
      // A note whose record has changed again is another one, under the same key.
      const isSent = (key: Uint8Array) => !changed.touched.has(this.#vnode.nameOfNote(key))
      await this.#vnode.forgetNotes(page.notes.filter(isSent))
      return page.next
    } finally {
      changed.end()
    }
  }

  /** Rejects with `ATOLL_TIMEOUT` if it takes longer than writes may wait. */
  async #sendLastNotes(): Promise<void> {
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
    const last = { signal: abort.signal, hurried: true, maxPages: Number.POSITIVE_INFINITY }
    this.#sendingLast = this.#vnode.idle().then(() => this.#sendNoted(last))
    try {
      await Promise.race([this.#sendingLast, timeout])
    } finally {
      timer?.cancel()
    }
  }

  async #tell(): Promise<void> {
    const { partition, to } = this.plan
    const { host, endpoint, options } = this.#site
    const request = { partition, partitions: host.filed }
    await endpoint.call(to, sealMethod, request, { timeoutMs: options.pauseTimeoutMs })
  }

  async #push(
    page: Page,
    options: { readonly signal: AbortSignal; readonly hurried?: boolean },
  ): Promise<void> {
    const to = { node: this.plan.to, partition: this.plan.partition }
    await this.#site.sender.push(page.records, to, { ...options, job: this.job })
  }

  #tellPause(startMs: number): void {
    const { clock, log, metrics } = this.#site.runtime
    const pausedMs = clock.monotonicMs() - startMs
    metrics.observe('atoll_handoff_pause_ms', pausedMs)
    log.info({ ...this.plan, pausedMs }, 'a partition was handed over')
  }
}

/** The pages of one attempt: the cursor behind the last one is saved while the next one is being sent. */
class SentPages {
  readonly #vnode: HandoffVnode
  readonly #ahead: PagesAhead
  #saved: Promise<void> = Promise.resolve()

  constructor(vnode: HandoffVnode, limits: Site['options']) {
    this.#vnode = vnode
    this.#ahead = new PagesAhead(vnode, limits)
  }

  /** Sends the next page and answers where the one behind it begins. The cursor counts for the first page alone. */
  async send(
    cursor: Uint8Array | undefined,
    push: (page: Page) => Promise<void>,
  ): Promise<Uint8Array | undefined> {
    const page = await this.#ahead.next(cursor)
    await push(page)
    await this.#saved
    return page.next
  }

  /** A cursor that comes to the disk late costs nothing but records that are offered again after a crash. */
  save(note: TransferNote): void {
    this.#saved = this.#vnode.saveTransfer(note)
    this.#saved.catch(() => {})
  }

  close(): Promise<void> {
    return this.#ahead.close()
  }
}
