import type { Clock, Runtime } from '@atoll/core'
import { type MemoryNetworkOptions, validateNetworkOptions } from './options.ts'

const MILLION = 1_000_000

/** What the weather is between addresses: delays, losses and partitions. Every draw comes from the runtime. */
export class Conditions {
  readonly clock: Clock
  readonly #runtime: Runtime
  readonly #blocked = new Map<string, Set<string>>()
  /** What has arrived at frozen addresses, in order. */
  readonly #waiting = new Map<string, (() => void)[]>()
  #options: Required<MemoryNetworkOptions>

  constructor(runtime: Runtime, options: MemoryNetworkOptions) {
    this.#runtime = runtime
    this.clock = runtime.clock
    this.#options = validateNetworkOptions(options)
  }

  get highWaterBytes(): number {
    return this.#options.highWaterBytes
  }

  configure(options: MemoryNetworkOptions): void {
    this.#options = validateNetworkOptions(options, this.#options)
  }

  block(from: string, to: string): void {
    const targets = this.#blocked.get(from)
    if (targets === undefined) this.#blocked.set(from, new Set([to]))
    else targets.add(to)
  }

  unblockAll(): void {
    this.#blocked.clear()
  }

  blocks(from: string, to: string): boolean {
    return this.#blocked.size > 0 && this.#blocked.get(from)?.has(to) === true
  }

  freeze(address: string): void {
    if (!this.#waiting.has(address)) this.#waiting.set(address, [])
  }

  isFrozen(address: string): boolean {
    return this.#waiting.size > 0 && this.#waiting.has(address)
  }

  thaw(address: string): void {
    const waiting = this.#waiting.get(address) ?? []
    this.#waiting.delete(address)
    for (const take of waiting) take()
  }

  /** Lets the machine at an address take in what has arrived: now, or when it goes on. */
  takeIn(address: string, take: () => void): void {
    const waiting = this.#waiting.get(address)
    if (waiting === undefined) take()
    else waiting.push(take)
  }

  drawDelayMs(): number {
    const { min, max } = this.#options.delayMs
    return min === max ? min : min + this.#runtime.random.below((max - min) * 1000 + 1) / 1000
  }

  drawLoss(): boolean {
    return this.#draw(this.#options.lossPerMillion, 'network.frame-lost')
  }

  drawRepeat(): boolean {
    return this.#draw(this.#options.duplicatePerMillion, 'network.frame-repeated')
  }

  /** Runs `arrive` after a delay, at once in a microtask if there is none. Never runs it if the way is blocked. */
  travel(from: string, to: string, arrive: () => void): void {
    if (this.blocks(from, to)) return
    const land = () => {
      if (!this.blocks(from, to)) this.takeIn(to, arrive)
    }
    const delayMs = this.drawDelayMs()
    if (delayMs === 0) void Promise.resolve().then(land)
    else this.clock.timer(delayMs, land)
  }

  #draw(perMillion: number, mark: string): boolean {
    if (perMillion === 0 || this.#runtime.random.below(MILLION) >= perMillion) return false
    this.#runtime.probe.mark(mark)
    return true
  }
}
