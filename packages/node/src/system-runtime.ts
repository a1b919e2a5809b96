import { hash, randomFillSync, randomInt } from 'node:crypto'
import {
  type Clock,
  checkDelay,
  checkKnown,
  checkMethods,
  createMetrics,
  type Digests,
  type Log,
  type Metrics,
  type MetricsRegistry,
  PORT_METHODS,
  quietLog,
  quietProbe,
  type Random,
  type Runtime,
  sleepOn,
} from '@atoll/core'
import { fastestCrc32, nativeCrc32 } from './crc32.ts'
import { DigestPool } from './digest-pool.ts'

export interface SystemRuntimeOptions {
  /** Where to log; default nowhere. A pino logger fits. */
  readonly log?: Log
  /** Where numbers go besides the runtime's own registry. */
  readonly metrics?: Metrics
  /** Default digests of its own; nodes of one process do well to share them. */
  readonly digest?: Digests
}

/** A runtime with threads. Whoever makes one ends it: `close`, or `await using`. */
export interface SystemRuntime extends Runtime, AsyncDisposable {
  /** Everything that was counted, readable; what `options.metrics` got, too. */
  readonly metrics: MetricsRegistry
  /**
   * Ends the digest threads; digests in flight fail with `ATOLL_CLOSED`. Idempotent. Digests that were given to
   * `systemRuntime` stay as they are. A digest that is begun later starts a thread anew.
   */
  close(): Promise<void>
}

/**
 * The real world: the clock, the random source and the digests of Node. Digests of large bodies start threads, up to
 * four. A node or a cluster that was opened without a runtime makes one and ends it; a runtime that was given to it
 * stays the giver's to close. Throws `TypeError` for options that are not as described.
 */
export function systemRuntime(options: SystemRuntimeOptions = {}): SystemRuntime {
  const names = ['log', 'metrics', 'digest'] as const
  checkKnown('systemRuntime', options, names)
  for (const name of names)
    if (options[name] !== undefined) checkMethods(name, options[name], PORT_METHODS[name])
  const own = nodeDigests()
  const close = () => own.close()
  return {
    clock: systemClock,
    random: systemRandom(),
    digest: options.digest ?? own,
    log: options.log ?? quietLog,
    metrics: createMetrics({ to: options.metrics }),
    probe: quietProbe,
    close,
    [Symbol.asyncDispose]: close,
  }
}

const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  timer: (delayMs, fire, { background = false } = {}) => {
    // A timer takes a millisecond at least, and a turn of the event loop some microseconds.
    if (checkDelay(delayMs) <= 0) {
      const turn = setImmediate(fire)
      return { cancel: () => clearImmediate(turn) }
    }
    const timer = setTimeout(fire, delayMs)
    if (background) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
  sleep: (delayMs, options) => sleepOn(systemClock, delayMs, options),
}

/** Drawn from a pool: a call to the system for every write id would cost more than the write's other work. */
const RANDOM_POOL_BYTES = 4096

function systemRandom(): Random {
  const pool = new Uint8Array(RANDOM_POOL_BYTES)
  let used = pool.length
  return {
    bytes: (length) => {
      if (length > pool.length) return randomFillSync(new Uint8Array(length))
      if (used + length > pool.length) {
        randomFillSync(pool)
        used = 0
      }
      used += length
      return pool.slice(used - length, used)
    },
    below: (limit) => randomInt(limit),
  }
}

export interface NodeDigests extends Digests {
  /** Ends the threads; see `SystemRuntime.close`. */
  close(): Promise<void>
}

/** One for all runtimes: a search for the binary takes as long as a hundred lookups of records. */
const crc32 = fastestCrc32(nativeCrc32)

/** Digests by native code, about ten times faster than portable ones; those of bodies on worker threads. */
export function nodeDigests(): NodeDigests {
  const pool = new DigestPool()
  return {
    sha1: (data) => hash('sha1', data, 'buffer'),
    crc32,
    stream: (algorithm) => pool.stream(algorithm),
    close: () => pool.close(),
  }
}
