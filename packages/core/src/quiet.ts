import type { Labels, Log, Metrics, Probe } from './runtime.ts'

const ignore = () => {}

/** A log that goes nowhere. */
export const quietLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** A probe that nobody reads. */
export const quietProbe: Probe = { mark: ignore }

export interface MetricsRegistry extends Metrics {
  /** The counter or gauge of that name and these labels; 0 if it was never touched. */
  value(name: string, labels?: Labels): number
  /** Every series: its name with labels, and its number (for a distribution: how many observations). */
  entries(): IterableIterator<[string, number]>
}

/** Metrics kept in memory: enough for tests and for a status page. */
export function createMetrics(): MetricsRegistry {
  const series = new Map<string, number>()
  const add = (name: string, amount: number, labels?: Labels) => {
    const id = seriesId(name, labels)
    series.set(id, (series.get(id) ?? 0) + amount)
  }
  return {
    count: (name, amount = 1, labels) => add(name, amount, labels),
    gauge: (name, value, labels) => void series.set(seriesId(name, labels), value),
    observe: (name, _value, labels) => add(`${name}_count`, 1, labels),
    value: (name, labels) => series.get(seriesId(name, labels)) ?? 0,
    entries: () => series.entries(),
  }
}

function seriesId(name: string, labels: Labels | undefined): string {
  if (labels === undefined) return name
  const pairs = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${label}="${value}"`)
  return pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`
}
