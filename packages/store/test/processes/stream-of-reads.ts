import { digestOf } from './bodies.ts'
import type { Body } from './commands.ts'
import type { Fleet } from './fleet.ts'
import { Refusal } from './node-process.ts'

/** What came of the requests of one kind, by what they were answered. */
export type Outcomes = Map<string, number>

/** Names what is asked of a node now, so that outcomes are counted by it. */
export type Label = (node: string) => string

export interface Stock {
  /** Objects that stay. */
  readonly kept: ReadonlyMap<string, Body>
  /** Objects each of which is deleted once. */
  readonly doomed: readonly string[]
}

const RIGHT = 'right'
const WRONG = /^(wrong|ATOLL_OBJECT_NOT_FOUND|ATOLL_BUCKET_NOT_FOUND|ATOLL_CORRUPT)/
const EVERY = { remove: 10, list: 25 }

/**
 * Asks every node for an object that is there, again and again at a steady pace, whether it has answered or not; and
 * now and then deletes one that is there, or lists all.
 */
export class StreamOfReads {
  /** By label. */
  readonly outcomes = new Map<string, Outcomes>()
  /** Of what was answered rightly, by label, in milliseconds. */
  readonly slowestMs = new Map<string, number>()
  readonly #fleet: Fleet
  readonly #digests: readonly (readonly [key: string, digest: string])[]
  readonly #doomed: string[]
  readonly #label: Label
  readonly #asked = new Set<Promise<void>>()
  #timer: ReturnType<typeof setInterval> | undefined
  #rounds = 0

  constructor(fleet: Fleet, { kept, doomed }: Stock, label: Label) {
    this.#fleet = fleet
    this.#digests = [...kept].map(([key, body]) => [key, digestOf(body)])
    this.#doomed = [...doomed]
    this.#label = label
  }

  start(everyMs: number): void {
    this.#timer = setInterval(() => {
      for (const [at, node] of this.#fleet.names.entries()) this.#ask(node, this.#rounds + at)
      this.#rounds += 1
    }, everyMs)
  }

  /** Resolves when all is answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#asked)
  }

  /** Answers that say of something that is there that it is not, or is something else. */
  get wrong(): readonly string[] {
    return this.#lines((outcome) => WRONG.test(outcome))
  }

  get failures(): readonly string[] {
    return this.#lines((outcome) => outcome !== RIGHT && !WRONG.test(outcome))
  }

  get right(): readonly string[] {
    return this.#lines((outcome) => outcome === RIGHT)
  }

  #lines(holds: (outcome: string) => boolean): readonly string[] {
    return [...this.outcomes].flatMap(([label, outcomes]) =>
      [...outcomes]
        .filter(([outcome]) => holds(outcome))
        .map(([outcome, count]) => `${label}: ${count} ${outcome}`),
    )
  }

  #ask(node: string, number: number): void {
    const doomed = number % EVERY.remove === 0 ? this.#doomed.pop() : undefined
    if (doomed !== undefined) this.#count(node, 'delete', () => this.#remove(node, doomed))
    else if (number % EVERY.list === 0) this.#count(node, 'list', () => this.#list(node))
    else this.#count(node, 'get', () => this.#get(node, number))
  }

  async #get(node: string, number: number): Promise<string> {
    const [key, digest] = this.#digests[number % this.#digests.length] ?? ['', '']
    return (await this.#fleet.node(node).ask('get', key)) === digest ? RIGHT : 'wrong bytes'
  }

  async #remove(node: string, key: string): Promise<string> {
    return (await this.#fleet.node(node).ask('remove', key)) ? RIGHT : 'wrong: there was nothing to delete'
  }

  async #list(node: string): Promise<string> {
    const listed = new Set(await this.#fleet.node(node).ask('list'))
    return this.#digests.every(([key]) => listed.has(key))
      ? RIGHT
      : 'wrong: a list without some that are there'
  }

  #count(node: string, what: string, request: () => Promise<string>): void {
    const label = `${what} ${this.#label(node)}`
    const startedMs = performance.now()
    const done = request()
      .catch((error: unknown) => {
        if (error instanceof Refusal) return error.code
        throw error
      })
      .then((outcome) => {
        const outcomes = this.outcomes.get(label) ?? new Map<string, number>()
        this.outcomes.set(label, outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1))
        const tookMs = performance.now() - startedMs
        if (outcome === RIGHT) this.slowestMs.set(label, Math.max(this.slowestMs.get(label) ?? 0, tookMs))
        this.#asked.delete(done)
      })
    this.#asked.add(done)
  }
}
