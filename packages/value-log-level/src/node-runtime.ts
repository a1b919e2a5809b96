import { randomFillSync } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { checkDelay, continuing, createMetrics, quietLog, sleepOn } from '@atoll/core'
import type { ValueLogRuntime } from './ports.ts'

/** The real world, for a program that uses a value log without the rest of Atoll. */
export function nodeRuntime(): ValueLogRuntime {
  const clock: ValueLogRuntime['clock'] = {
    monotonicMs: () => performance.now(),
    timer: (delayMs, fire, { background = false } = {}) => {
      if (checkDelay(delayMs) <= 0) {
        const turn = setImmediate(fire)
        return { cancel: () => clearImmediate(turn) }
      }
      const timer = setTimeout(fire, delayMs)
      if (background) timer.unref()
      return { cancel: () => clearTimeout(timer) }
    },
    sleep: (delayMs, options) => sleepOn(clock, delayMs, options),
  }
  return {
    clock,
    random: { bytes: (length) => randomFillSync(new Uint8Array(length)) },
    digest: { crc32: continuing(crc32) },
    log: quietLog,
    metrics: createMetrics(),
  }
}
