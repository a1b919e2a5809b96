import { AtollError, type KeyId } from '@atoll/core'
import type { HandoffVnode, MovingRecord } from '@atoll/vnode'
import { Job } from './jobs.ts'
import { PagesAhead } from './pages-ahead.ts'
import {
  beginPass,
  nextPass,
  type PassAim,
  type PassEvent,
  type PassRules,
  type PassTally,
  type PassTask,
} from './pass-machine.ts'
import type { Place } from './sender.ts'
import type { Site } from './site.ts'

export interface PassPlan {
  readonly aim: PassAim
  readonly partition: number
  /** Who gets the records, for those who look; empty if that is chosen for each of them. */
  readonly to: string
  /** Which vnodes shall have a record. */
  readonly select: (id: KeyId) => readonly Place[]
}

/** What a pass works with, from its beginning to its end. */
interface Means {
  readonly vnode: HandoffVnode
  readonly pages: PagesAhead
  readonly signal: AbortSignal
}

type Task = PassTask<MovingRecord>
type Event = PassEvent<MovingRecord>

/** Does what `nextPass` says, and tells it what came of it. */
export class Pass {
  readonly job: Job
  readonly #site: Site
  readonly #plan: PassPlan
  /** Names of keys that were noted since the watch began, as they come. */
  #touched: ReadonlySet<string> = new Set()

  constructor(site: Site, plan: PassPlan) {
    this.#site = site
    this.#plan = plan
    const { aim, partition, to } = plan
    const kind = aim.kind === 'give-back' ? aim.kind : 'refill'
    this.job = new Job(site.runtime, { kind, direction: 'out', partition, from: site.node, to })
  }

  /** Throws whatever the other nodes answer. */
  async run(signal: AbortSignal): Promise<PassTally> {
    const { aim, partition, select } = this.#plan
    this.job.phase = aim.kind === 'give-back' ? 'giving-back' : 'refilling'
    const vnode = this.#site.host.handoffOf(partition)
    const rules: PassRules<MovingRecord> = {
      aim,
      select: ({ id }) => select(id),
      nameOf: ({ id }) => vnode.nameOf(id),
      nameOfHint: (key) => vnode.nameOfHint(key),
    }
    const pages = new PagesAhead(vnode, this.#site.options)
    try {
      for (let step = beginPass<MovingRecord>(rules); ; ) {
        const { state, task } = step
        if (state.at === 'failed') throw state.cause
        if (state.at === 'done') return state.tally
        if (task !== undefined)
          step = nextPass(rules, state, await this.#eventOf(task, { vnode, pages, signal }))
      }
    } finally {
      await pages.close()
    }
  }

  async #eventOf(task: Task, means: Means): Promise<Event> {
    try {
      return await this.#run(task, means)
    } catch (cause) {
      return { kind: 'failed', cause }
    }
  }

  async #run(task: Task, { vnode, pages, signal }: Means): Promise<Event> {
    const { sender } = this.#site
    switch (task.do) {
      case 'read-cursor':
        return { kind: 'cursor', cursor: await vnode.readRefill(task.id) }
      case 'read-page':
        return { kind: 'page', page: await this.#read(task, vnode, pages) }
      case 'push':
        return { kind: 'pushed', ...(await sender.push(task.items, task.to, { job: this.job, signal })) }
      case 'remove':
        return { kind: 'removed', items: await this.#remove(task, vnode, signal) }
      case 'count':
        return { kind: 'counted', records: await vnode.count(task.type) }
      case 'settle-writes':
        await vnode.idle()
        break
      case 'save-cursor':
        await vnode.saveRefill(task.id, task.cursor)
        break
      case 'forget-cursor':
        await vnode.forgetRefill(task.id)
        break
      case 'end':
        await Promise.all(task.places.map((place) => sender.end(place, this.job.identity)))
        break
      default:
        return this.#runHints(task, { vnode, pages, signal })
    }
    return { kind: 'done' }
  }

  /** What only hints know. */
  async #runHints(task: HintTask, { vnode, signal }: Means): Promise<Event> {
    const { hints } = this.#site.host
    const { partition } = this.#plan
    switch (task.do) {
      case 'find-owed':
        return { kind: 'owed', id: hints.beginFilling({ partition, node: task.node }) }
      case 'watch':
        this.#touched = hints.watch({ partition, node: task.node })
        await vnode.idle()
        break
      case 'forget-hints': {
        signal.throwIfAborted()
        const isUntouched = (key: Uint8Array) => !this.#touched.has(vnode.nameOfHint(key))
        await vnode.forgetNotes(task.keys.filter(isUntouched))
        break
      }
      case 'save-filled': {
        const place = { partition, node: task.node }
        await vnode.write(hints.filled(place, task.id))
        hints.endFilling(place, task.id)
        break
      }
      case 'reload-hints':
        await hints.reload({ partition, node: task.node }, this.#touched)
    }
    return { kind: 'done' }
  }

  #read({ leg, cursor }: Extract<Task, { do: 'read-page' }>, vnode: HandoffVnode, pages: PagesAhead) {
    const { options } = this.#site
    switch (leg.kind) {
      case 'give-back':
        return vnode.page(cursor, options, leg.type)
      case 'refill':
        return pages.next(cursor)
      case 'hints':
        return vnode.hintedPage(leg.node, cursor, options)
    }
  }

  /** Looks whose the vnode is in the turn in which it deletes. */
  async #remove({ items, type }: Extract<Task, { do: 'remove' }>, vnode: HandoffVnode, signal: AbortSignal) {
    const { partition } = this.#plan
    if (type === undefined && this.#site.isOwn?.(partition)) {
      const message = `partition ${partition} belongs to this node: it is not given away`
      throw new AtollError('ATOLL_CHANGE_REFUSED', message)
    }
    signal.throwIfAborted()
    // All have ended when the pass does: one that waits for its turn would delete what comes after that.
    const outcomes = await Promise.allSettled(items.map((record) => vnode.remove(record)))
    return items.filter((_, at) => {
      const outcome = outcomes[at]
      if (outcome?.status === 'rejected') throw outcome.reason
      return outcome?.value === true
    })
  }
}

type HintTask = Extract<
  Task,
  { readonly do: 'find-owed' | 'watch' | 'forget-hints' | 'save-filled' | 'reload-hints' }
>
