import type { Clock } from '@atoll/core'

/** A read that is under way. */
interface Turn<T> {
  readonly beganMs: number
  /** The next read, if anybody has asked for it meanwhile. */
  next: Promised<T> | undefined
}

interface Promised<T> {
  readonly promise: Promise<T>
  readonly resolve: (read: Promise<T>) => void
}

/** Who asks while a read hangs for longer than this begins the next one. */
const PATIENCE_MS = 10

/**
 * Reads of which one serves many callers, as one sync serves many writes. Whoever asks while a read is under way shares
 * the next one with all others who ask meanwhile. So every caller is told by a read that began after the call, and
 * nothing is remembered.
 */
export class SharedReads<T> {
  readonly #clock: Clock
  readonly #read: (name: string) => Promise<T>
  /** By name; as many as there are callers at most. */
  readonly #turns = new Map<string, Turn<T>>()

  constructor(clock: Clock, read: (name: string) => Promise<T>) {
    this.#clock = clock
    this.#read = read
  }

  get(name: string): Promise<T> {
    const turn = this.#turns.get(name)
    if (turn === undefined || this.#clock.monotonicMs() - turn.beganMs > PATIENCE_MS) return this.#begin(name)
    turn.next ??= promised()
    return turn.next.promise
  }

  #begin(name: string): Promise<T> {
    const before = this.#turns.get(name)
    const turn: Turn<T> = { beganMs: this.#clock.monotonicMs(), next: undefined }
    this.#turns.set(name, turn)
    const read = this.#read(name)
    before?.next?.resolve(read)
    const end = () => {
      if (this.#turns.get(name) !== turn) return
      if (turn.next === undefined) this.#turns.delete(name)
      else void this.#begin(name)
    }
    read.then(end, end)
    return read
  }
}

function promised<T>(): Promised<T> {
  let resolve: Promised<T>['resolve'] = () => {}
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
