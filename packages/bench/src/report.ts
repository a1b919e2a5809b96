import type { Comparison, Round } from './measure.ts'

/** One line of the result. Latencies in milliseconds, rates per second, sizes in bytes. */
export interface Row {
  readonly name: string
  readonly concurrency: number
  readonly operationsPerSecond: number
  readonly megabytesPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly cpuSecondsPerMegabyte: number
  readonly peakRssBytes: number
  /** Bytes that the process handed to files, per user byte; null where the system does not tell. */
  readonly writtenPerUserByte: number | null
  /** Bytes that the disk took meanwhile, from anyone, per user byte; null where the system does not tell. */
  readonly diskPerUserByte: number | null
  /**
   * Speed as a share of the floor's; 1 is as fast as the machine allows. Each round of the subject is divided by the
   * round of the floor beside it, in time, and this is the median of these ratios.
   */
  readonly ratioToFloor: number
  /** The middle half of these ratios lies between the two. */
  readonly ratioQuartiles: readonly [number, number]
  /** How many pairs of rounds there were. */
  readonly pairs: number
  readonly floorMegabytesPerSecond: number
}

export function rowOf(name: string, concurrency: number, { subject, floor }: Comparison): Row {
  const rates = subject.map((round) => round.bytes / round.seconds)
  const ratios = rates.map((rate, at) => rate / rateOf(floor[at]))
  const bytes = sum(subject, (round) => round.bytes)
  const latency = merged(subject)
  return {
    name,
    concurrency,
    operationsPerSecond: median(subject.map((round) => round.operations / round.seconds)),
    megabytesPerSecond: median(rates) / 1e6,
    p50Ms: latency.getValueAtPercentile(50) / 1000,
    p99Ms: latency.getValueAtPercentile(99) / 1000,
    maxMs: latency.maxValue / 1000,
    cpuSecondsPerMegabyte: sum(subject, (round) => round.cpuSeconds) / (bytes / 1e6),
    peakRssBytes: Math.max(...subject.map((round) => round.peakRssBytes)),
    writtenPerUserByte: perByte(subject, 'byProcess'),
    diskPerUserByte: perByte(subject, 'toDisk'),
    ratioToFloor: median(ratios),
    ratioQuartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    pairs: ratios.length,
    floorMegabytesPerSecond: median(floor.map((round) => rateOf(round))) / 1e6,
  }
}

const COLUMNS: readonly (readonly [string, (row: Row) => string])[] = [
  ['MB/s', (row) => row.megabytesPerSecond.toFixed(1)],
  ['op/s', (row) => row.operationsPerSecond.toFixed(0)],
  ['p50 ms', (row) => row.p50Ms.toFixed(2)],
  ['p99 ms', (row) => row.p99Ms.toFixed(2)],
  ['max ms', (row) => row.maxMs.toFixed(1)],
  ['CPU s/MB', (row) => row.cpuSecondsPerMegabyte.toFixed(4)],
  ['RSS MB', (row) => (row.peakRssBytes / 1e6).toFixed(0)],
  ['written', (row) => row.writtenPerUserByte?.toFixed(2) ?? '–'],
  ['to disk', (row) => row.diskPerUserByte?.toFixed(2) ?? '–'],
  ['floor MB/s', (row) => row.floorMegabytesPerSecond.toFixed(1)],
  ['of floor', (row) => ratioText(row.ratioToFloor)],
  ['half within', (row) => row.ratioQuartiles.map(ratioText).join('–')],
  ['pairs', (row) => `${row.pairs}`],
]

const NAME_WIDTH = 48
const COLUMN_WIDTH = 12

const MEANING = `"of floor" is speed divided by that of the floor: the median of what pairs of neighbouring rounds give, of which half lie within the figures beside it`

export function ratioText(ratio: number): string {
  return ratio.toFixed(ratio < 10 ? 2 : 0)
}

export function headLine(): string {
  const titles = COLUMNS.map(([title]) => title.padStart(COLUMN_WIDTH)).join('')
  return `${MEANING}\n${''.padEnd(NAME_WIDTH)}${titles}`
}

export function line(row: Row): string {
  return (
    `${row.name}, c=${row.concurrency}`.padEnd(NAME_WIDTH) +
    COLUMNS.map(([, text]) => text(row).padStart(COLUMN_WIDTH)).join('')
  )
}

/** What tells a row from others, and what compares. */
export type Compared = Pick<Row, 'name' | 'concurrency' | 'ratioToFloor'>

/** What became of each row since an earlier result, by its ratio to the floor: absolute rates do not compare. */
export function changes(now: readonly Compared[], before: readonly Compared[]): string[] {
  return now.flatMap((row) => {
    const old = before.find((other) => other.name === row.name && other.concurrency === row.concurrency)
    if (old === undefined) return []
    const change = 100 * (row.ratioToFloor / old.ratioToFloor - 1)
    const figures = `${old.ratioToFloor.toFixed(2)} -> ${row.ratioToFloor.toFixed(2)} of the floor`
    return [`${row.name}, c=${row.concurrency}: ${figures} (${change >= 0 ? '+' : ''}${change.toFixed(0)} %)`]
  })
}

function perByte(rounds: readonly Round[], by: keyof Round['written']): number | null {
  let written = 0
  for (const round of rounds) {
    const bytes = round.written[by]
    if (bytes === undefined) return null
    written += bytes
  }
  return written / sum(rounds, (round) => round.bytes)
}

function rateOf(round: Round | undefined): number {
  return round === undefined ? Number.NaN : round.bytes / round.seconds
}

function merged(rounds: readonly Round[]): Round['latency'] {
  const [first, ...rest] = rounds
  if (first === undefined) throw new Error('a row needs at least one round')
  for (const round of rest) first.latency.add(round.latency)
  return first.latency
}

export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5)
}

/** Of an even number of them the median is the lower of the two in the middle. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN
}

function sum(rounds: readonly Round[], figure: (round: Round) => number): number {
  return rounds.reduce((total, round) => total + figure(round), 0)
}
