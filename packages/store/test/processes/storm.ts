import type { Client, Tally } from './client.ts'
import type { Fleet } from './fleet.ts'
import type { Harm } from './harm.ts'

export const FAULTS = ['kill', 'stop', 'cut'] as const
export type Fault = (typeof FAULTS)[number]

/** What a storm measured, in milliseconds. */
export interface Measures {
  readonly faults: Fault[]
  /** From the death of a node until every other one took it for down. */
  readonly deathsNoticedMs: number[]
  /** The same for a node that stands still. */
  readonly stopsNoticedMs: number[]
  /** From the start of a process until the node was open. */
  readonly reopenedMs: number[]
  /** From then, or from the end of the fault, until it had what it missed and nobody kept anything for it. */
  readonly wholeMs: number[]
}

export interface StormParts {
  readonly fleet: Fleet
  readonly harm: Harm
  readonly tally: Tally
  readonly clients: readonly Client[]
  readonly draw: (limit: number) => number
  readonly longestStopMs: number
}

const LOOK_MS = 50
/**
 * Bounds of time mean something where the machine has nothing else to do, as when it is measured; elsewhere only what
 * hangs meets these.
 */
export const IS_MEASURED = process.env['ATOLL_STORM_SECONDS'] !== undefined
const NOTICE_PATIENCE_MS = IS_MEASURED ? 15_000 : 150_000
const WHOLE_PATIENCE_MS = IS_MEASURED ? 60_000 : 150_000
const LEAST_STOP_MS = 1000
/** A node that stands still for longer is noticed in any case. */
const SURELY_NOTICED_MS = 4000

/** Harms one node after the other, and each time waits until it is whole again. */
export class Storm {
  readonly measures: Measures = {
    faults: [],
    deathsNoticedMs: [],
    stopsNoticedMs: [],
    reopenedMs: [],
    wholeMs: [],
  }
  readonly #parts: StormParts

  constructor(parts: StormParts) {
    this.#parts = parts
  }

  /** At least one fault of each kind. */
  async rage(seconds: number): Promise<void> {
    const endMs = performance.now() + seconds * 1000
    do {
      for (const fault of this.#shuffled(FAULTS)) {
        this.measures.faults.push(fault)
        const node = this.#victimOf(fault)
        this.#parts.harm.story = `${fault} of ${node}`
        await this.#strike(fault, node)
        this.#parts.harm.story = `after the ${fault} of ${node}`
        await this.#becomeWhole(node)
      }
    } while (performance.now() < endMs)
  }

  /** Resolves when every node has what it should have, and no other, though nobody reads. */
  async whole(): Promise<void> {
    const { fleet, tally } = this.#parts
    const sum = async (count: (node: string) => Promise<number>) =>
      (await Promise.all(fleet.names.map(count))).reduce((total, one) => total + one)
    const foreign = () => sum((name) => fleet.node(name).ask('foreign'))
    const lacking = () => sum((name) => fleet.node(name).ask('lacking', tally.missed))
    await until('no node keeps data for others', WHOLE_PATIENCE_MS, async () => (await foreign()) === 0)
    await until('no node lacks what it missed', WHOLE_PATIENCE_MS, async () => (await lacking()) === 0)
  }

  async #becomeWhole(node: string): Promise<void> {
    const { fleet, harm, tally, clients, draw } = this.#parts
    const startedMs = performance.now()
    await Promise.all(fleet.names.map((name) => this.#sees(name, node)))
    harm.seen()
    await this.whole()
    this.measures.wholeMs.push(performance.now() - startedMs)
    tally.missed.length = 0
    for (const client of clients) client.release()
    await pause(300 + draw(500))
  }

  async #sees(name: string, node: string): Promise<void> {
    await until(`${name} sees ${node} again`, NOTICE_PATIENCE_MS, async () => this.#isUp(node, name))
  }

  #victimOf(fault: Fault): string {
    const { fleet, draw } = this.#parts
    const names = fleet.names.filter((name) => fault !== 'cut' || fleet.cable(name) !== undefined)
    return names[draw(names.length)] ?? ''
  }

  #strike(fault: Fault, node: string): Promise<void> {
    switch (fault) {
      case 'kill':
        return this.#kill(node)
      case 'stop':
        return this.#stop(node)
      case 'cut':
        return this.#cut(node)
    }
  }

  async #kill(node: string): Promise<void> {
    const { fleet, harm, draw } = this.#parts
    harm.begin(node)
    await fleet.node(node).kill()
    this.measures.deathsNoticedMs.push(await this.#noticed(node))
    await pause(500 + draw(2500))
    const startedMs = performance.now()
    await fleet.restart(node)
    this.measures.reopenedMs.push(performance.now() - startedMs)
    harm.end()
  }

  async #stop(node: string): Promise<void> {
    const { fleet, harm, draw, longestStopMs } = this.#parts
    const forMs = LEAST_STOP_MS + draw(longestStopMs - LEAST_STOP_MS)
    harm.begin(node)
    fleet.node(node).pause()
    const over = pause(forMs)
    if (forMs > SURELY_NOTICED_MS) this.measures.stopsNoticedMs.push(await this.#noticed(node))
    await over
    fleet.node(node).resume()
    harm.end()
  }

  async #cut(node: string): Promise<void> {
    const { fleet, draw } = this.#parts
    fleet.cable(node)?.cut()
    // Half of the cuts are for an instant: the connections are gone, and new ones can be made at once.
    await pause(draw(2) * draw(3000))
    fleet.cable(node)?.mend()
  }

  /** How long it takes until every other node takes this one for down. */
  async #noticed(node: string): Promise<number> {
    const startedMs = performance.now()
    const others = this.#parts.fleet.names.filter((name) => name !== node)
    const notice = (name: string) =>
      until(`${name} notices ${node}`, NOTICE_PATIENCE_MS, async () => !(await this.#isUp(node, name)))
    await Promise.all(others.map(notice))
    return performance.now() - startedMs
  }

  async #isUp(node: string, asked: string): Promise<boolean> {
    return (await this.#parts.fleet.node(asked).ask('up')).includes(node)
  }

  #shuffled(faults: readonly Fault[]): readonly Fault[] {
    const drawn = faults.map((fault) => ({ fault, at: this.#parts.draw(2 ** 20) }))
    return drawn.sort((a, b) => a.at - b.at).map(({ fault }) => fault)
  }
}

export async function until(what: string, patienceMs: number, holds: () => Promise<boolean>): Promise<void> {
  const lastMs = performance.now() + patienceMs
  while (!(await holds())) {
    if (performance.now() > lastMs) throw new Error(`waited ${patienceMs} ms in vain until ${what}`)
    await pause(LOOK_MS)
  }
}

function pause(forMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, forMs))
}
