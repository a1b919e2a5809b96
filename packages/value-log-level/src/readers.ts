/** A reader that may still need what was there when it began. */
export type Ticket = number

/**
 * Who reads at the moment: gets, iterators and snapshots. A segment that nothing points to any more may be written
 * again only when everyone has gone who began before.
 */
export class Readers {
  /** In order of their beginning. */
  readonly #active = new Set<Ticket>()
  #next: Ticket = 0
  #others = 0
  #onIdle: (() => void) | undefined
  /** Called when a reader goes. */
  onLeave: () => void = () => {}

  enter(): Ticket {
    this.#others += 1
    return this.enterOwn()
  }

  /** As `enter`, for what the log itself reads in the background. */
  enterOwn(): Ticket {
    const ticket = this.#next++
    this.#active.add(ticket)
    return ticket
  }

  leave(ticket: Ticket): void {
    if (!this.#active.delete(ticket)) return
    this.onLeave()
    if (this.#active.size === 0) this.#onIdle?.()
  }

  /** Resolves when nobody reads. */
  async idle(): Promise<void> {
    while (this.#active.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
  }

  /** How many have come that were not the log itself, ever. */
  get others(): number {
    return this.#others
  }

  /** Whoever comes from now on has at least this ticket. */
  get next(): Ticket {
    return this.#next
  }

  /** All readers have at least this ticket. */
  get oldest(): Ticket {
    const first = this.#active.values().next()
    return first.done === true ? this.#next : first.value
  }
}
