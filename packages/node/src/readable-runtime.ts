import { createMetrics, isMetricsRegistry, type Runtime } from '@atoll/core'

/** The runtime itself, or, if its metrics cannot be read, one with a registry that hands every number on to them. */
export function readableRuntime(runtime: Runtime): Runtime {
  const { clock, random, digest, log, metrics, probe } = runtime
  if (isMetricsRegistry(metrics)) return runtime
  return { clock, random, digest, log, metrics: createMetrics({ to: metrics }), probe }
}
