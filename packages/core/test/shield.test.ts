import { expect, test } from 'vitest'
import {
  attempt,
  type Clock,
  createMetrics,
  type Log,
  type Metrics,
  type Probe,
  quietLog,
  quietProbe,
  shielded,
} from '../src/index.ts'

const BROKEN = new Error('the port is broken')
const fail = () => {
  throw BROKEN
}
const rejecting = async () => fail()
const BROKEN_LOG: Log = { debug: fail, info: fail, warn: fail, error: fail }
const BROKEN_PROBE: Probe = { mark: fail }
const BROKEN_METRICS: Metrics = { count: fail, gauge: fail, observe: fail }

function clockAt(time: { ms: number }): Clock {
  return { monotonicMs: () => time.ms, wallMs: () => 0, timer: fail, sleep: fail }
}

function lines(): Log & { readonly lines: object[] } {
  const lines: object[] = []
  return { ...quietLog, error: (fields) => void lines.push(fields), lines }
}

test('a log that throws is counted, one that works is not', () => {
  const metrics = createMetrics()
  const runtime = shielded({ clock: clockAt({ ms: 0 }), log: BROKEN_LOG, metrics, probe: quietProbe })
  for (const level of ['debug', 'info', 'warn', 'error'] as const) runtime.log[level]({}, 'a line')
  expect(metrics.value('atoll_port_failures_total', { port: 'log' })).toBe(4)
  runtime.metrics.count('things', 2)
  runtime.probe.mark('a mark')
  expect([...metrics.entries()].filter(([, value]) => value !== 0)).toEqual([
    ['atoll_port_failures_total{port="log"}', 4],
    ['things', 2],
  ])
})

test('metrics that throw are logged, once a minute', () => {
  const time = { ms: 0 }
  const log = lines()
  const { metrics } = shielded({ clock: clockAt(time), log, metrics: BROKEN_METRICS })
  metrics.count('things')
  metrics.gauge('level', 1)
  metrics.observe('took_ms', 1)
  expect(log.lines).toEqual([{ port: 'metrics', err: new Error('the port is broken'), held: 0 }])
  time.ms = 60_000
  metrics.count('things')
  expect(log.lines).toHaveLength(2)
  expect(log.lines[1]).toMatchObject({ held: 2 })
})

test('where all throw, nothing is told, and nothing happens', () => {
  const runtime = shielded({
    clock: clockAt({ ms: 0 }),
    log: BROKEN_LOG,
    metrics: BROKEN_METRICS,
    probe: BROKEN_PROBE,
  })
  runtime.log.error({}, 'a line')
  runtime.metrics.count('things')
  runtime.probe.mark('a mark')
  expect(attempt(runtime, 'onProgress', fail)).toBeUndefined()
})

test('a function that throws, or whose promise is rejected, is counted under its name; what works is answered', async () => {
  const [log, metrics] = [lines(), createMetrics()]
  const runtime = { clock: clockAt({ ms: 0 }), log, metrics }
  for (const one of [runtime, shielded(runtime)]) {
    expect(attempt(one, 'merge', () => 7)).toBe(7)
    expect(attempt(one, 'merge', fail)).toBeUndefined()
    await attempt(one, 'onProgress', rejecting)?.catch(() => {})
  }
  await Promise.resolve()
  expect(metrics.value('atoll_port_failures_total', { port: 'merge' })).toBe(2)
  expect(metrics.value('atoll_port_failures_total', { port: 'onProgress' })).toBe(2)
  expect(log.lines).toHaveLength(4)
})

test('what is shielded is not shielded again', () => {
  const runtime = shielded({ clock: clockAt({ ms: 0 }), log: quietLog, metrics: createMetrics() })
  expect(shielded(runtime)).toBe(runtime)
  expect(shielded({ ...runtime, more: 1 })).toMatchObject({ metrics: runtime.metrics })
})

/** As somebody writes one who knows classes: nothing of it is a property of its own, and all of it needs `this`. */
class ClassyRuntime {
  readonly #clock = clockAt({ ms: 7 })
  readonly #metrics = createMetrics()
  closed = false

  get clock() {
    return this.#clock
  }

  get log() {
    return BROKEN_LOG
  }

  get metrics() {
    return this.#metrics
  }

  get probe() {
    return BROKEN_PROBE
  }

  nowMs() {
    return this.#clock.monotonicMs()
  }

  close() {
    this.closed = true
  }
}

class BusyRuntime extends ClassyRuntime {
  override nowMs() {
    return super.nowMs() + 1
  }
}

test.each([
  ['itself', (runtime: BusyRuntime) => runtime],
  ['frozen', (runtime: BusyRuntime) => Object.freeze(runtime)],
])('what a runtime has by its class stays: %s', (_, made) => {
  const original = new BusyRuntime()
  const runtime = shielded(made(original))
  expect(runtime.clock).toBe(original.clock)
  expect(runtime.nowMs()).toBe(8)
  expect(runtime).toBeInstanceOf(ClassyRuntime)
  runtime.log.info({}, 'a line')
  runtime.probe.mark('a mark')
  expect(original.metrics.value('atoll_port_failures_total', { port: 'log' })).toBe(1)
  expect(original.metrics.value('atoll_port_failures_total', { port: 'probe' })).toBe(1)
  expect(runtime.metrics.text()).toBe(original.metrics.text())
  expect(shielded(runtime)).toBe(runtime)
  expect(shielded({ ...runtime, more: 1 })).toMatchObject({
    more: 1,
    metrics: runtime.metrics,
    closed: false,
  })
})

test('what changes in a runtime is seen, also behind the shield, and a method works on the runtime itself', () => {
  const original = new BusyRuntime()
  const runtime = shielded(original)
  runtime.close()
  expect(original.closed).toBe(true)
  expect(runtime.closed).toBe(true)
})

test('metrics keep what their class can do besides', () => {
  class Counting implements Metrics {
    readonly #counts = new Map<string, number>()
    count(name: string, amount = 1) {
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + amount)
    }
    readonly gauge: Metrics['gauge'] = fail
    readonly observe: Metrics['observe'] = fail
    get size() {
      return this.#counts.size
    }
    page() {
      return [...this.#counts].join(' ')
    }
  }
  const { metrics } = shielded({ clock: clockAt({ ms: 0 }), log: quietLog, metrics: new Counting() })
  metrics.count('things', 2)
  expect([metrics.size, metrics.page()]).toEqual([1, 'things,2'])
  metrics.gauge('level', 1)
  expect(metrics.page()).toBe('things,2 atoll_port_failures_total,1')
})
