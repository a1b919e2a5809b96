import type { KeyId } from '@atoll/core'
import { digestOf } from './bodies.ts'
import type { Body } from './commands.ts'
import type { Fleet } from './fleet.ts'
import type { Harm } from './harm.ts'
import { Refusal } from './node-process.ts'

const LEAST_BYTES = 1024
const DOUBLINGS = 11.58
const PAUSE_MS = 60
const ATTEMPTS = 8
const ABSENT = 'absent'

/** What all clients share. */
export interface Work {
  readonly fleet: Fleet
  readonly harm: Harm
  readonly tally: Tally
  /** Objects of each client. */
  readonly keys: number
}

/** What happened to the requests of all clients. */
export class Tally {
  puts = 0
  gets = 0
  deletes = 0
  bytes = 0
  /** Requests that were at a node when it was killed or stopped, and failed with it. */
  interrupted = 0
  /** Of requests to nodes that nobody harmed, in milliseconds. */
  slowestMs = 0
  /** Requests to nodes that nobody harmed. */
  readonly failures: string[] = []
  /** Reads that answered something else than what was last acknowledged. */
  readonly wrong: string[] = []
  /** Records of what was written while a node was away; nobody reads them before it is whole again. */
  readonly missed: KeyId[] = []
}

/** Writes, overwrites, reads and deletes objects of its own, one request at a time, through random nodes that live. */
export class Client {
  /** SHA-256 of the objects that were acknowledged, or `absent`. */
  readonly acknowledged = new Map<string, string>()
  readonly #name: string
  readonly #work: Work
  readonly #draw: (limit: number) => number
  /** Written in vain on a node that was harmed: what it had begun may come to light later, beside what came after it. */
  readonly #doubtful = new Set<string>()
  /** Written while a node was away, or before all others had seen it again. */
  readonly #unread = new Set<string>()
  #running: Promise<void> | undefined
  #isStopped = false

  constructor(name: string, work: Work, draw: (limit: number) => number) {
    this.#name = name
    this.#work = work
    this.#draw = draw
  }

  start(): void {
    this.#isStopped = false
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  /** What was written while a node was away may be read again. */
  release(): void {
    this.#unread.clear()
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#step(`${this.#name}-${this.#draw(this.#work.keys)}`)
      await new Promise((resolve) => setTimeout(resolve, this.#draw(PAUSE_MS)))
    }
  }

  async #step(key: string): Promise<void> {
    const kind = this.#draw(10)
    if (kind < 5 || !this.acknowledged.has(key)) await this.#put(key)
    else if (kind < 9 && !this.#unread.has(key)) await this.#get(key)
    else if (kind === 9 && !this.#doubtful.has(key)) await this.#delete(key)
  }

  async #put(key: string): Promise<void> {
    const { harm, tally } = this.#work
    const wasAway = harm.isAway
    const bytes = Math.floor(LEAST_BYTES * 2 ** ((this.#draw(1000) / 1000) * DOUBLINGS))
    const body: Body = { seed: this.#draw(2 ** 32), bytes }
    const node = await this.#insist(`put ${key}`, (name) => this.#work.fleet.node(name).ask('put', key, body))
    if (node === undefined) return
    this.acknowledged.set(key, digestOf(body))
    tally.puts += 1
    tally.bytes += bytes
    // A primary may not have it yet, and a read that meets that one and a fallback may answer what was there before.
    if (wasAway || harm.isAway) this.#unread.add(key)
    await this.#note(key)
  }

  async #get(key: string): Promise<void> {
    const { fleet, harm, tally } = this.#work
    let read = ''
    const node = await this.#insist(`get ${key}`, async (name) => {
      read = await fleet.node(name).ask('get', key).catch(absent)
    })
    if (node === undefined) return
    tally.gets += 1
    if (read !== this.acknowledged.get(key)) tally.wrong.push(`${harm.story}: get ${key} of ${node}: ${read}`)
  }

  async #delete(key: string): Promise<void> {
    const { fleet, tally } = this.#work
    const node = await this.#insist(`delete ${key}`, async (name) => {
      await fleet.node(name).ask('remove', key).catch(absent)
    })
    if (node === undefined) return
    this.acknowledged.set(key, ABSENT)
    tally.deletes += 1
  }

  /** Which records a node misses that is away. While its process is gone, this read cannot heal it. */
  async #note(key: string): Promise<void> {
    const { fleet, harm, tally } = this.#work
    const away = harm.current
    if (away === undefined) return
    let records: readonly KeyId[] = []
    await this.#insist(`records of ${key}`, async (name) => {
      records = await fleet.node(name).ask('recordsOf', key)
    })
    if (harm.current !== away) return
    tally.missed.push(...records)
  }

  /** Tries again at another node what was interrupted. Resolves with the node that did it; undefined if it failed. */
  async #insist(what: string, request: (node: string) => Promise<unknown>): Promise<string | undefined> {
    const { harm, tally } = this.#work
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const live = this.#live()
      const node = live[this.#draw(live.length)] ?? ''
      const times = harm.times(node)
      const startedMs = performance.now()
      try {
        await request(node)
        if (harm.times(node) === times)
          tally.slowestMs = Math.max(tally.slowestMs, performance.now() - startedMs)
        return node
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        if (harm.times(node) === times) {
          const tookMs = Math.round(performance.now() - startedMs)
          tally.failures.push(`${harm.story}: ${what}: ${error.message} (after ${tookMs} ms)`)
        } else tally.interrupted += 1
        this.#doubtful.add(what.slice(what.lastIndexOf(' ') + 1))
      }
    }
    return undefined
  }

  #live(): readonly string[] {
    const { fleet, harm } = this.#work
    return fleet.names.filter((name) => name !== harm.current)
  }
}

function absent(error: unknown): string {
  if (error instanceof Refusal && error.code === 'ATOLL_OBJECT_NOT_FOUND') return ABSENT
  throw error
}
