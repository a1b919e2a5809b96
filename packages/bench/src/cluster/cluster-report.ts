import { timesAsGood, UNITS } from '../units.ts'
import type { Sample, Samples } from './rounds.ts'

/** One line of the result: medians over the rounds. */
export interface ClusterRow {
  readonly name: string
  /** Operations in flight. */
  readonly concurrency: number
  readonly unit: 'µs' | 'ms' | 'op/s' | 'MB/s'
  readonly figure: number
  /** What the limit is, and how it did in the same run. */
  readonly limitIs: string
  readonly limit: number
  /** 99th percentiles of latencies, in microseconds; null where single operations are not timed. */
  readonly p99Us: number | null
  readonly limitP99Us: number | null
  /** Microseconds of processor time for an operation, of all processes and threads; null where that is not measured. */
  readonly cpuUs: number | null
  /** How near the limit it comes, whatever the unit: 1 is as good, 0.5 half as good; median over pairs of rounds. */
  readonly ratioToFloor: number
  /** (max − min) / median of the figure over the rounds. */
  readonly spread: number
}

export type ClusterRowHead = Pick<ClusterRow, 'name' | 'concurrency' | 'unit' | 'limitIs'>

export function clusterRow(head: ClusterRowHead, { subject, limit }: Samples): ClusterRow {
  const figures = subject.map(({ figure }) => figure)
  const limits = limit.map(({ figure }) => figure)
  const ratios = figures.map((figure, at) => timesAsGood(head.unit, figure, limits[at] ?? Number.NaN))
  return {
    ...head,
    figure: median(figures),
    limit: median(limits),
    p99Us: medianOf(subject, 'p99Us'),
    limitP99Us: medianOf(limit, 'p99Us'),
    cpuUs: medianOf(subject, 'cpuUs'),
    ratioToFloor: median(ratios),
    spread: (Math.max(...figures) - Math.min(...figures)) / median(figures),
  }
}

const NAME_WIDTH = 48
const WIDTH = 12

const COLUMNS: readonly (readonly [string, (row: ClusterRow) => string])[] = [
  ['measured', (row) => row.figure.toFixed(UNITS[row.unit].digits)],
  ['limit', (row) => row.limit.toFixed(UNITS[row.unit].digits)],
  ['unit', (row) => row.unit],
  ['of limit', (row) => row.ratioToFloor.toFixed(2)],
  ['p99 µs', (row) => row.p99Us?.toFixed(0) ?? '–'],
  ['CPU µs', (row) => row.cpuUs?.toFixed(1) ?? '–'],
  ['limit p99', (row) => row.limitP99Us?.toFixed(0) ?? '–'],
  ['spread', (row) => `${(100 * row.spread).toFixed(0)} %`],
]

export function clusterHeadLine(): string {
  const titles = COLUMNS.map(([title]) => title.padStart(WIDTH)).join('')
  return `${''.padEnd(NAME_WIDTH)}${titles}  the limit is`
}

export function clusterLine(row: ClusterRow): string {
  const cells = COLUMNS.map(([, text]) => text(row).padStart(WIDTH)).join('')
  return `${`${row.name}, c=${row.concurrency}`.padEnd(NAME_WIDTH)}${cells}  ${row.limitIs}`
}

function medianOf(samples: readonly Sample[], what: 'p99Us' | 'cpuUs'): number | null {
  const known = samples.flatMap((sample) => sample[what] ?? [])
  return known.length === 0 ? null : median(known)
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
}
