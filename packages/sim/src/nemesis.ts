import { messageOf } from '@atoll/core'
import type { Fault, PlannedFault } from './faults.ts'
import type { NetworkConditions, NetworkPort, NodesPort } from './ports.ts'
import type { World } from './world.ts'

export interface NemesisOptions {
  /** Delays of the network when the weather is fair, in ms. Default 0 to 1. */
  readonly fairDelayMs?: { readonly min: number; readonly max: number }
}

/**
 * Carries a plan of faults out. Two phases: `rage` lets everything happen that was planned, while clients go on; `heal` puts
 * everything right again, after which a correct cluster must come to rest with nothing lost.
 */
export class Nemesis {
  readonly #world: World
  readonly #network: NetworkPort
  readonly #nodes: NodesPort
  readonly #fair: NetworkConditions
  readonly #down = new Set<string>()
  readonly #touched = new Set<string>()
  readonly #going = new Set<Fault>()

  constructor(
    world: World,
    ports: { readonly network: NetworkPort; readonly nodes: NodesPort },
    options: NemesisOptions = {},
  ) {
    this.#world = world
    this.#network = ports.network
    this.#nodes = ports.nodes
    const delayMs = options.fairDelayMs ?? { min: 0, max: 1 }
    this.#fair = { lossPerMillion: 0, duplicatePerMillion: 0, delayMs }
  }

  /** Begins and ends every fault of the plan in its time. What cannot be ended yet is left to `heal`. */
  async rage(plan: readonly PlannedFault[]): Promise<void> {
    const { clock } = this.#world.runtime('nemesis')
    const startMs = clock.monotonicMs()
    const steps = plan
      .flatMap(({ fromMs, untilMs, fault }) => [
        { atMs: fromMs, fault, begin: true },
        { atMs: untilMs, fault, begin: false },
      ])
      .sort((a, b) => a.atMs - b.atMs)
    for (const { atMs, fault, begin } of steps) {
      await clock.sleep(Math.max(0, startMs + atMs - clock.monotonicMs()))
      if (begin) await this.begin(fault)
      else
        await this.end(fault).catch((error) => this.#note(`could not end ${fault.kind}: ${messageOf(error)}`))
    }
  }

  /** Puts everything right that was done. Rejects if a node does not start. */
  async heal(): Promise<void> {
    this.#note('heals everything')
    this.#going.clear()
    this.#setWeather()
    for (const node of this.#touched) {
      this.#world.disk(node).heal()
      this.#world.clockOf(node).drift(0)
      this.#world.clockOf(node).skew(0)
    }
    for (const node of [...this.#down]) await this.#restart(node)
  }

  async begin(fault: Fault): Promise<void> {
    this.#note(`begins ${JSON.stringify(fault)}`)
    this.#going.add(fault)
    if ('node' in fault) this.#touched.add(fault.node)
    switch (fault.kind) {
      case 'partition':
      case 'weather':
        return this.#setWeather()
      case 'crash':
        return this.#crash(fault.node)
      case 'replace':
        await this.#crash(fault.node)
        return this.#world.disk(fault.node).wipe()
      case 'rot':
        this.#world.disk(fault.node).rot(fault.values)
        return
      case 'slow-disk':
        return this.#world.disk(fault.node).slow(fault.factor)
      case 'failing-disk':
        return this.#world.disk(fault.node).failWrites({ count: fault.writes })
      case 'full-disk':
        return this.#world.disk(fault.node).fill()
      case 'skew':
        return this.#world.clockOf(fault.node).skew(fault.offsetMs)
      case 'drift':
        return this.#world.clockOf(fault.node).drift(fault.ppm)
    }
  }

  async end(fault: Fault): Promise<void> {
    if (!this.#going.delete(fault)) return
    this.#note(`ends ${fault.kind}${'node' in fault ? ` of ${fault.node}` : ''}`)
    switch (fault.kind) {
      case 'partition':
      case 'weather':
        return this.#setWeather()
      case 'crash':
      case 'replace':
        return this.#restart(fault.node)
      case 'rot':
        return
      case 'slow-disk':
      case 'failing-disk':
      case 'full-disk':
        return this.#world.disk(fault.node).heal()
      case 'skew':
        return this.#world.clockOf(fault.node).skew(0)
      case 'drift':
        return this.#world.clockOf(fault.node).drift(0)
    }
  }

  async #crash(node: string): Promise<void> {
    this.#down.add(node)
    await this.#nodes.crash(node)
  }

  async #restart(node: string): Promise<void> {
    await this.#nodes.restart(node)
    this.#down.delete(node)
  }

  /** A network forgets all faults at once, so those that go on are put back. */
  #setWeather(): void {
    this.#network.heal()
    this.#network.configure(this.#fair)
    for (const fault of this.#going) {
      if (fault.kind === 'partition') {
        this.#network.partition(fault.groupA, fault.groupB, { oneWay: fault.oneWay })
      } else if (fault.kind === 'weather') {
        const { lossPerMillion, duplicatePerMillion, maxDelayMs } = fault
        this.#network.configure({ lossPerMillion, duplicatePerMillion, delayMs: { min: 0, max: maxDelayMs } })
      }
    }
  }

  #note(text: string): void {
    this.#world.note(`nemesis ${text}`)
  }
}

export interface QuietOptions {
  /** Virtual time between two looks, in ms. Default 100. */
  readonly everyMs?: number
  /** Virtual time after which it is a failure, in ms. Default one minute. */
  readonly withinMs?: number
}

/**
 * Waits until `complaints` finds nothing to complain of: the liveness phase. Rejects with the last complaints when the time
 * is up.
 */
export async function waitForQuiet(
  world: World,
  complaints: () => Promise<readonly string[]>,
  options: QuietOptions = {},
): Promise<void> {
  const { everyMs = 100, withinMs = 60_000 } = options
  const { clock } = world.runtime('nemesis')
  const deadlineMs = clock.monotonicMs() + withinMs
  for (;;) {
    const left = await complaints()
    if (left.length === 0) return
    if (clock.monotonicMs() >= deadlineMs) {
      throw new Error(`no quiet within ${withinMs} ms: ${left.slice(0, 10).join('; ')}`)
    }
    await clock.sleep(everyMs)
  }
}
