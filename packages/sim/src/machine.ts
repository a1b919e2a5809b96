import type { Timer } from '@atoll/core'
import type { Scheduler } from './event-queue.ts'

/**
 * What one machine does: everything that is scheduled for it goes through here. While it is frozen nothing of that happens;
 * what became due meanwhile happens when it goes on, in the order in which it became due.
 */
export class Machine implements Scheduler {
  readonly #world: Scheduler
  readonly #held: (() => void)[] = []
  #frozen = false

  constructor(world: Scheduler) {
    this.#world = world
  }

  get nowMs(): number {
    return this.#world.nowMs
  }

  get isFrozen(): boolean {
    return this.#frozen
  }

  schedule(delayMs: number, label: string, run: () => void): Timer {
    let wanted = true
    const happen = () => {
      if (this.#frozen) this.#held.push(() => wanted && this.#world.schedule(0, label, happen))
      else if (wanted) run()
    }
    const timer = this.#world.schedule(delayMs, label, happen)
    return {
      cancel: () => {
        wanted = false
        timer.cancel()
      },
    }
  }

  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    for (const again of this.#held.splice(0)) again()
  }
}
