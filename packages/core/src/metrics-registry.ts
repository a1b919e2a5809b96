import { METRICS, type MetricEntry } from './metrics-catalogue.ts'
import { type Labels, type Metrics, PORT_METHODS } from './runtime.ts'
import { checkKnown, checkMethods } from './validate.ts'

/** One series of a metric: a name with one set of labels. */
export type MetricSeries =
  | {
      readonly name: string
      readonly labels: Labels
      readonly type: 'counter' | 'gauge'
      readonly value: number
    }
  | {
      readonly name: string
      readonly labels: Labels
      readonly type: 'histogram'
      /** How many observations, and their sum. */
      readonly count: number
      readonly sum: number
      /** Observations of at most `le`, in ascending order; those above the last are in `count` alone. */
      readonly buckets: readonly { readonly le: number; readonly count: number }[]
    }

/** What reads metrics. */
export interface MetricsReader {
  /** Every series: those of the catalogue, then others in the order in which they were first touched. */
  snapshot(): readonly MetricSeries[]
  /** The same in the text format of Prometheus, with the help texts of the catalogue. */
  text(): string
  /** The counter or gauge of that name and these labels; 0 if it was never touched. */
  value(name: string, labels?: Labels): number
  /** Every series: its name with labels, and its number (for a histogram: how many observations, as `name_count`). */
  entries(): IterableIterator<[string, number]>
}

/** Metrics kept in memory, to be read. */
export interface MetricsRegistry extends Metrics, MetricsReader {}

export interface MetricsRegistryOptions {
  /** Where every number goes as well. */
  readonly to?: Metrics | undefined
}

/** Upper bounds of the buckets: powers of two from 1/16 ms to 64 Mi, which serves milliseconds, bytes and counts. */
const BOUNDS: readonly number[] = Array.from({ length: 31 }, (_, at) => 2 ** (at - 4))

interface Histogram {
  readonly name: string
  readonly labels: Labels
  readonly counts: number[]
  count: number
  sum: number
}

interface Plain {
  readonly name: string
  readonly labels: Labels
  readonly type: 'counter' | 'gauge'
  value: number
}

/**
 * A registry in which nothing was counted. Every counter and histogram of the catalogue is there at 0, so that whoever
 * reads it can tell 0 from a metric that there is not, with each set of labels whose values the catalogue lists. A
 * gauge is there once it is set. Its series are as many as the names and label values of the code, which are few. Throws
 * `TypeError` for options that are not as described.
 */
export function createMetrics(options: MetricsRegistryOptions = {}): MetricsRegistry {
  checkKnown('createMetrics', options, ['to'])
  const { to } = options
  if (to !== undefined) checkMethods('to', to, PORT_METHODS.metrics)
  const plain = new Map<string, Plain>()
  const histograms = new Map<string, Histogram>()
  for (const [name, { type, labels }] of CATALOGUE) {
    for (const set of labelSetsOf(labels)) {
      if (type === 'counter') plainOf(plain, { name, type, labels: set })
      if (type === 'histogram') histogramOf(histograms, name, set)
    }
  }
  return {
    count: (name, amount = 1, labels) => {
      plainOf(plain, { name, labels, type: 'counter' }).value += amount
      return to?.count(name, amount, labels)
    },
    gauge: (name, value, labels) => {
      plainOf(plain, { name, labels, type: 'gauge' }).value = value
      return to?.gauge(name, value, labels)
    },
    observe: (name, value, labels) => {
      observe(histogramOf(histograms, name, labels), value)
      return to?.observe(name, value, labels)
    },
    value: (name, labels) => plain.get(seriesId(name, labels))?.value ?? 0,
    *entries() {
      for (const [id, { value }] of plain) yield [id, value]
      for (const { name, labels, count } of histograms.values())
        yield [seriesId(`${name}_count`, labels), count]
    },
    snapshot: () => [
      ...[...plain.values()].map((series) => ({ ...series })),
      ...[...histograms.values()].map(seriesOf),
    ],
    text: () => textOf(plain.values(), histograms.values()),
  }
}

const CATALOGUE: readonly (readonly [string, MetricEntry])[] = Object.entries(METRICS)

/** Every combination of the values of labels; none if the values of one are not listed. */
function labelSetsOf(labels: NonNullable<MetricEntry['labels']> = {}): Labels[] {
  let sets: Labels[] = [{}]
  for (const [label, values] of Object.entries(labels)) {
    const listed = typeof values === 'string' ? [] : values
    sets = sets.flatMap((set) => listed.map((value) => ({ ...set, [label]: value })))
  }
  return sets
}

/** Whether metrics can be read as well as written. */
export function isMetricsRegistry(metrics: Metrics): metrics is MetricsRegistry {
  return 'snapshot' in metrics && 'text' in metrics
}

function plainOf(
  all: Map<string, Plain>,
  { name, labels, type }: Pick<Plain, 'name' | 'type'> & { readonly labels: Labels | undefined },
): Plain {
  const id = seriesId(name, labels)
  const known = all.get(id)
  if (known !== undefined) return known
  const series = { name, labels: { ...labels }, type, value: 0 }
  all.set(id, series)
  return series
}

function histogramOf(all: Map<string, Histogram>, name: string, labels: Labels | undefined): Histogram {
  const id = seriesId(name, labels)
  const known = all.get(id)
  if (known !== undefined) return known
  const series = { name, labels: { ...labels }, counts: BOUNDS.map(() => 0), count: 0, sum: 0 }
  all.set(id, series)
  return series
}

function observe(series: Histogram, value: number): void {
  series.count += 1
  series.sum += value
  const at = BOUNDS.findIndex((bound) => value <= bound)
  if (at >= 0) series.counts[at] = (series.counts[at] ?? 0) + 1
}

function seriesOf({ name, labels, counts, count, sum }: Histogram): MetricSeries {
  let below = 0
  const buckets = BOUNDS.map((le, at) => {
    below += counts[at] ?? 0
    return { le, count: below }
  })
  return { name, labels, type: 'histogram', count, sum, buckets }
}

/** The text format 0.0.4 of Prometheus. */
function textOf(plain: Iterable<Plain>, histograms: Iterable<Histogram>): string {
  const lines = new Map<string, string[]>()
  const linesOf = (name: string, type: string) => {
    const known = lines.get(name) ?? headOf(name, type)
    lines.set(name, known)
    return known
  }
  for (const { name, labels, type, value } of plain)
    linesOf(name, type).push(`${seriesId(name, labels)} ${value}`)
  for (const histogram of histograms) {
    const series = seriesOf(histogram)
    if (series.type !== 'histogram') continue
    const { name, labels, count, sum, buckets } = series
    const own = linesOf(name, 'histogram')
    for (const bucket of buckets)
      own.push(`${seriesId(`${name}_bucket`, { ...labels, le: `${bucket.le}` })} ${bucket.count}`)
    own.push(`${seriesId(`${name}_bucket`, { ...labels, le: '+Inf' })} ${count}`)
    own.push(`${seriesId(`${name}_sum`, labels)} ${sum}`, `${seriesId(`${name}_count`, labels)} ${count}`)
  }
  return [...lines.values()]
    .flat()
    .map((line) => `${line}\n`)
    .join('')
}

function headOf(name: string, type: string): string[] {
  const entry: MetricEntry | undefined = Object.hasOwn(METRICS, name)
    ? METRICS[name as keyof typeof METRICS]
    : undefined
  const help = entry === undefined ? [] : [`# HELP ${name} ${entry.help}`]
  return [...help, `# TYPE ${name} ${type}`]
}

function seriesId(name: string, labels: Labels | undefined): string {
  if (labels === undefined) return name
  const pairs = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${label}="${escaped(value)}"`)
  return pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))
}
