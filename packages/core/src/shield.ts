import { delegate } from './delegate.ts'
import { LineLimit } from './line-limit.ts'
import { isPromise } from './realms.ts'
import type { Clock, Log, Metrics, Probe, Runtime } from './runtime.ts'
import { MINUTE_MS } from './units.ts'

/** The ports that only observe: nothing may depend on them. */
export interface Observers extends Pick<Runtime, 'log' | 'metrics'> {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly probe?: Probe
}

type Tell = (port: string, error: unknown) => void

/** What is told when the owner of these metrics has something that throws. Each belongs to one shielded runtime. */
const tellers = new WeakMap<Metrics, Tell>()

/**
 * The same runtime, of which log, metrics and probe may throw without stopping anything: each failure is counted as
 * `atoll_port_failures_total`, and written to the log once a minute, as far as these two still work. All else that the
 * runtime and its metrics have stays, by a class too. Answers a runtime that is shielded as it is.
 */
export function shielded<R extends Observers>(runtime: R): R {
  if (tellers.has(runtime.metrics)) return runtime
  const tell = tellerOf(runtime)
  const metrics = shieldedMetrics(runtime.metrics, tell)
  tellers.set(metrics, tell)
  const log = shieldedLog(runtime.log, tell)
  const { probe } = runtime
  const instead: Partial<Observers> =
    probe === undefined
      ? { log, metrics }
      : { log, metrics, probe: { mark: (name) => void guarded(tell, 'probe', () => probe.mark(name)) } }
  return delegate<Observers, R>(runtime, instead)
}

/**
 * Calls a function that the user gave, and goes on whatever it does: an error, or a promise that is rejected, is counted and
 * logged as by `shielded`. Answers undefined if it has thrown. `port` says in a word what kind of function it is.
 */
export function attempt<T>(runtime: Observers, port: string, call: () => T): T | undefined {
  return guarded(tellers.get(runtime.metrics) ?? tellerOf(runtime), port, call)
}

function guarded<T>(tell: Tell, port: string, call: () => T): T | undefined {
  try {
    const answer = call()
    if (isPromise(answer)) answer.catch((error: unknown) => tell(port, error))
    return answer
  } catch (error) {
    tell(port, error)
    return undefined
  }
}

function tellerOf({ clock, log, metrics }: Observers): Tell {
  const limit = new LineLimit(clock, MINUTE_MS)
  return (port, error) => {
    ignoring(() => metrics.count('atoll_port_failures_total', 1, { port }))
    const held = limit.take(port)
    if (held === undefined) return
    ignoring(() => log.error({ port, err: error, held }, 'a port or function of the user threw an error'))
  }
}

/** Where there is nobody left to tell. */
function ignoring(call: () => unknown): void {
  guarded(() => {}, '', call)
}

/** What can be read stays readable. */
function shieldedMetrics(metrics: Metrics, tell: Tell): Metrics {
  return delegate<Metrics, Metrics>(metrics, {
    count: (name, amount, labels) => void guarded(tell, 'metrics', () => metrics.count(name, amount, labels)),
    gauge: (name, value, labels) => void guarded(tell, 'metrics', () => metrics.gauge(name, value, labels)),
    observe: (name, value, labels) =>
      void guarded(tell, 'metrics', () => metrics.observe(name, value, labels)),
  })
}

function shieldedLog(log: Log, tell: Tell): Log {
  return {
    debug: (fields, message) => void guarded(tell, 'log', () => log.debug(fields, message)),
    info: (fields, message) => void guarded(tell, 'log', () => log.info(fields, message)),
    warn: (fields, message) => void guarded(tell, 'log', () => log.warn(fields, message)),
    error: (fields, message) => void guarded(tell, 'log', () => log.error(fields, message)),
  }
}
