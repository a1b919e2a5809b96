import { AtollError, type Clock } from '@atoll/core'
import { aborted, onAbort, throwIfAborted } from './abort.ts'
import type { KeyTurns } from './key-turns.ts'

/** One of those who change a record by the same write. */
export class Seat<Value, Result> {
  readonly value: Value
  /** Since when it waits for the turn of its key, by the monotonic clock; undefined if it has not waited. */
  readonly sinceMs: number | undefined
  readonly #signal: AbortSignal | undefined
  readonly #settled: Settled<Result>
  #stopHearing: () => void
  #isOver = false

  constructor({ value, signal, sinceMs }: SeatOf<Value>, settled: Settled<Result>) {
    this.value = value
    this.sinceMs = sinceMs
    this.#signal = signal
    this.#settled = settled
    this.#stopHearing = this.#hear()
  }

  /** Its caller has gone, or has an answer. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** What is written now is written for it: its signal is not heard any more. False if it is over. */
  begin(): boolean {
    this.#stopHearing()
    return !this.#isOver
  }

  /** Nothing was written after all: its signal is heard again. */
  declined(): void {
    if (this.#signal?.aborted) this.reject(aborted(this.#signal))
    else if (!this.#isOver) this.#stopHearing = this.#hear()
  }

  /** The first answer counts. */
  resolve(result: Result): void {
    if (this.#end()) this.#settled.resolve(result)
  }

  reject(error: unknown): void {
    if (this.#end()) this.#settled.reject(error)
  }

  #end(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#stopHearing()
    return true
  }

  #hear(): () => void {
    return this.#signal === undefined ? nothing : onAbort(this.#signal, (error) => this.reject(error))
  }
}

interface SeatOf<Value> {
  readonly value: Value
  readonly signal: AbortSignal | undefined
  readonly sinceMs: number | undefined
}

interface Settled<Result> {
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

export interface Joining<Value, Result> {
  readonly key: string
  /** Of those that wait for one key, the ones of one kind go together. Asked only where somebody waits. */
  readonly kind: () => string
  readonly value: Value
  readonly signal?: AbortSignal | undefined
  /** Called with the seats in the order of arrival, one or more. What it throws is the answer of those that are not over. */
  readonly run: (seats: readonly Seat<Value, Result>[]) => Promise<void>
}

/** Of one group, so that a write does not hold up the process. */
const MAX_SEATS = 1000
/** Of all groups that wait. */
const MAX_WAITING = 10_000

/**
 * Who writes a record while another write of it is under way at this node waits, and all that have waited go as one. So a
 * key that many write at once costs two writes instead of one for each, which would decline each other.
 */
export class WriteGroups<Value, Result> {
  readonly #turns: KeyTurns
  readonly #clock: Clock
  readonly #groups = new Map<string, Seat<Value, Result>[]>()
  #waiting = 0

  constructor(turns: KeyTurns, clock: Clock) {
    this.#turns = turns
    this.#clock = clock
  }

  /** Throws `ATOLL_OVERLOADED` where too many wait, and as of `throwIfAborted` until the write has begun. */
  join({ key, kind, value, signal, run }: Joining<Value, Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      throwIfAborted(signal)
      const isBusy = this.#turns.isBusy(key)
      const sinceMs = isBusy ? this.#clock.monotonicMs() : undefined
      const seat = new Seat({ value, signal, sinceMs }, { resolve, reject })
      try {
        if (isBusy) this.#wait(seat, { key, kind, run })
        else this.#take([seat], key, () => run([seat]))
      } catch (error) {
        // By the seat, which hears its signal already.
        seat.reject(error)
      }
    })
  }

  #wait(
    seat: Seat<Value, Result>,
    { key, kind, run }: Pick<Joining<Value, Result>, 'key' | 'kind' | 'run'>,
  ): void {
    if (this.#waiting >= MAX_WAITING)
      throw new AtollError('ATOLL_OVERLOADED', `${MAX_WAITING} writes wait for others of their keys`)
    const name = `${kind()} ${key}`
    const group = this.#groups.get(name)
    if (group !== undefined && group.length < MAX_SEATS) {
      group.push(seat)
      this.#waiting += 1
      return
    }
    this.#turns.checkRoom()
    const seats = [seat]
    this.#groups.set(name, seats)
    this.#waiting += 1
    const close = () => {
      if (this.#groups.get(name) === seats) this.#groups.delete(name)
      this.#waiting -= seats.length
      return seats.filter(({ isOver }) => !isOver)
    }
    this.#take(seats, key, async () => {
      const present = close()
      if (present.length > 0) await run(present)
    })
  }

  #take(seats: readonly Seat<Value, Result>[], key: string, task: () => Promise<void>): void {
    this.#turns.run(key, task).catch((error: unknown) => {
      for (const seat of seats) seat.reject(error)
    })
  }
}

function nothing(): void {}
