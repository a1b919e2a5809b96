import type { Log, MetricsRegistry } from '@atoll/core'

/** Ports of a user that throw now and then. `mayThrow` throws if this is such a moment. */
export function fragileLog(log: Log, mayThrow: () => void): Log {
  const fragile = (level: keyof Log) => (fields: object, message: string) => {
    log[level](fields, message)
    mayThrow()
  }
  return { debug: fragile('debug'), info: fragile('info'), warn: fragile('warn'), error: fragile('error') }
}

export function fragileMetrics(metrics: MetricsRegistry, mayThrow: () => void): MetricsRegistry {
  return {
    ...metrics,
    count: (...sample) => {
      mayThrow()
      metrics.count(...sample)
    },
    gauge: (...sample) => {
      mayThrow()
      metrics.gauge(...sample)
    },
    observe: (...sample) => {
      mayThrow()
      metrics.observe(...sample)
    },
  }
}
