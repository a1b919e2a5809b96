import { hash, randomFillSync, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'
import {
  type Clock,
  checkDelay,
  createMetrics,
  type Digests,
  type Log,
  type Metrics,
  quietLog,
  quietProbe,
  type Random,
  type Runtime,
  sleepOn,
} from '@atoll/core'
import { DigestPool } from './digest-pool.ts'

export interface SystemRuntimeOptions {
  /** Where to log; default nowhere. A pino logger fits. */
  readonly log?: Log
  /** Where numbers go; default a registry in memory. */
  readonly metrics?: Metrics
  /** Default digests of its own; nodes of one process do well to share them. */
  readonly digest?: Digests
}

/** The real world: the clock, the random source and the digests of Node. */
export function systemRuntime(options: SystemRuntimeOptions = {}): Runtime {
  return {
    clock: systemClock,
    random: systemRandom(),
    digest: options.digest ?? nodeDigests(),
    log: options.log ?? quietLog,
    metrics: options.metrics ?? createMetrics(),
    probe: quietProbe,
  }
}

const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  timer: (delayMs, fire) => {
    const timer = setTimeout(fire, checkDelay(delayMs))
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

/** Digests by Node's own code, about ten times faster than portable ones; those of bodies on worker threads. */
export function nodeDigests(): Digests {
  const pool = new DigestPool()
  return {
    sha1: (data) => hash('sha1', data, 'buffer'),
    crc32: (data, seed) => crc32(data, seed),
    stream: (algorithm) => pool.stream(algorithm),
  }
}
