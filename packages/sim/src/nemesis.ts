import { messageOf } from '@atoll/core'
import type { DiskCopy } from './disk.ts'
import type { Fault, PlannedFault } from './faults.ts'
import type { NetworkConditions, NetworkPort, NodesPort } from './ports.ts'
import type { World } from './world.ts'

type Of<Kind extends Fault['kind']> = Extract<Fault, { readonly kind: Kind }>

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
  /** Copies of disks that will be restored, by what will do it. */
  readonly #copies = new Map<Fault, DiskCopy>()

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

  /**
   * Begins and ends every fault of the plan in its time, or after what is still done to the same machine: a node that
   * starts may have to wait for others. What cannot be ended yet is left to `heal`.
   */
  async rage(plan: readonly PlannedFault[]): Promise<void> {
    const { clock } = this.#world.runtime('nemesis')
    const startMs = clock.monotonicMs()
    const steps = plan
      .flatMap(({ fromMs, untilMs, fault }) => [
        { atMs: fromMs, fault, begin: true },
        { atMs: untilMs, fault, begin: false },
      ])
      .sort((a, b) => a.atMs - b.atMs)
    const last = new Map<string, Promise<void>>()
    const failures: unknown[] = []
    for (const { atMs, fault, begin } of steps) {
      await clock.sleep(Math.max(0, startMs + atMs - clock.monotonicMs()))
      const place = 'node' in fault ? fault.node : fault.kind
      const step = () => (begin ? this.begin(fault) : this.#endOrLeave(fault))
      const done = (last.get(place) ?? Promise.resolve()).then(step)
      last.set(
        place,
        done.catch((error) => void failures.push(error)),
      )
    }
    await Promise.all(last.values())
    if (failures.length > 0) throw failures[0]
  }

  /** Puts everything right that was done. Rejects if a node does not start. */
  async heal(): Promise<void> {
    this.#note('heals everything')
    this.#going.clear()
    this.#copies.clear()
    this.#setWeather()
    for (const node of this.#touched) {
      this.#world.disk(node).heal()
      this.#world.clockOf(node).drift(0)
      this.#world.clockOf(node).skew(0)
      this.#world.breakPorts(node, 0)
      this.#thaw(node)
    }
    for (const node of [...this.#down]) await this.#restart(node)
  }

  #endOrLeave(fault: Fault): Promise<void> {
    return this.end(fault).catch((error) => this.#note(`could not end ${fault.kind}: ${messageOf(error)}`))
  }

  async begin(fault: Fault): Promise<void> {
    this.#note(`begins ${JSON.stringify(fault)}`)
    this.#going.add(fault)
    for (const node of nodesOf(fault)) this.#touched.add(node)
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
      case 'full-disks':
        for (const node of fault.nodes) this.#world.disk(node).fill()
        return
      case 'scarce-disks':
        for (const node of fault.nodes) this.#world.disk(node).leaveOnly(fault.spareBytes)
        return
      case 'reset':
        return this.#network.reset(fault.nodes)
      case 'lapse':
        return this.#world.lapse(fault.lapseMs)
      case 'restore':
        return this.#copy(fault)
      case 'freeze':
      case 'suspend':
        return this.#stop(fault)
      case 'throwing-ports':
        return this.#world.breakPorts(fault.node, fault.permille)
      case 'skew':
      case 'far-skew':
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
      case 'reset':
      case 'lapse':
        return
      case 'slow-disk':
      case 'failing-disk':
      case 'full-disk':
        return this.#world.disk(fault.node).heal()
      case 'full-disks':
      case 'scarce-disks':
        for (const node of fault.nodes) this.#world.disk(node).heal()
        return
      case 'restore':
        return this.#restore(fault)
      case 'freeze':
      case 'suspend':
        return this.#thaw(fault.node)
      case 'throwing-ports':
        return this.#world.breakPorts(fault.node, 0)
      case 'skew':
      case 'far-skew':
        return this.#world.clockOf(fault.node).skew(0)
      case 'drift':
        return this.#world.clockOf(fault.node).drift(0)
    }
  }

  async #crash(node: string): Promise<void> {
    this.#down.add(node)
    await this.#nodes.crash(node)
  }

  async #restart(node: string, options: { readonly restored?: boolean } = {}): Promise<void> {
    await this.#nodes.restart(node, options)
    this.#down.delete(node)
  }

  /** Takes the backup of a node that is down for a moment. */
  async #copy(fault: Of<'restore'>): Promise<void> {
    if (fault.orderly) await this.#nodes.stop(fault.node)
    else await this.#crash(fault.node)
    this.#down.add(fault.node)
    this.#copies.set(fault, this.#world.disk(fault.node).copy())
    await this.#restart(fault.node)
  }

  async #restore(fault: Of<'restore'>): Promise<void> {
    const copy = this.#copies.get(fault)
    this.#copies.delete(fault)
    await this.#crash(fault.node)
    if (copy !== undefined) this.#world.disk(fault.node).restore(copy)
    await this.#restart(fault.node, { restored: copy !== undefined })
  }

  #stop(fault: Of<'freeze' | 'suspend'>): void {
    this.#network.freeze(fault.node)
    if (fault.kind === 'freeze') this.#world.freeze(fault.node)
    else {
      this.#world.suspend(fault.node)
      this.#world.lapse(fault.lapseMs)
    }
  }

  #thaw(node: string): void {
    this.#world.thaw(node)
    this.#network.thaw(node)
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

function nodesOf(fault: Fault): readonly string[] {
  if ('node' in fault) return [fault.node]
  return fault.kind === 'full-disks' || fault.kind === 'scarce-disks' ? fault.nodes : []
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
