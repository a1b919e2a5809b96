import { build, type Histogram } from 'hdr-histogram-js'
import { type Written, writtenSince, writtenSoFar } from './written.ts'

/** Something that can be measured: it does one operation at a time, as often and as concurrently as it is told. */
export interface Subject {
  /** Does operation number `n` (unique over the whole run) and answers how many user bytes it moved. */
  operation(n: number): Promise<number>
  close(): Promise<void>
}

export interface Load {
  /** Operations of a round. */
  readonly operations: number
  /** Operations before the first round; default a quarter of a round. */
  readonly warmUp?: number
  /** Operations in flight. */
  readonly concurrency: number
}

export interface Round {
  readonly seconds: number
  readonly bytes: number
  readonly operations: number
  /** Latencies in microseconds. */
  readonly latency: Histogram
  /** User and system time of the whole process, all threads. */
  readonly cpuSeconds: number
  readonly written: Written
  readonly peakRssBytes: number
}

const RSS_SAMPLE_MS = 20

/** Runs one round of a load. `from` is the number of its first operation. */
export async function measureRound(subject: Subject, load: Load, from: number): Promise<Round> {
  const latency = createHistogram()
  let peakRssBytes = process.memoryUsage.rss()
  const sampler = setInterval(() => {
    peakRssBytes = Math.max(peakRssBytes, process.memoryUsage.rss())
  }, RSS_SAMPLE_MS)
  const writtenBefore = writtenSoFar()
  const usage = process.cpuUsage()
  const started = performance.now()
  let next = from
  let bytes = 0
  const worker = async () => {
    while (next < from + load.operations) {
      const n = next++
      const begun = performance.now()
      // Not `bytes += await …`: that would add to what `bytes` was before the wait.
      const moved = await subject.operation(n)
      bytes += moved
      latency.recordValue(Math.max(1, Math.round((performance.now() - begun) * 1000)))
    }
  }
  try {
    await Promise.all(Array.from({ length: load.concurrency }, worker))
  } finally {
    clearInterval(sampler)
  }
  const seconds = (performance.now() - started) / 1000
  const used = process.cpuUsage(usage)
  return {
    seconds,
    bytes,
    operations: load.operations,
    latency,
    cpuSeconds: (used.user + used.system) / 1e6,
    written: writtenSince(writtenBefore),
    peakRssBytes: Math.max(peakRssBytes, process.memoryUsage.rss()),
  }
}

export interface Comparison {
  readonly subject: readonly Round[]
  readonly floor: readonly Round[]
}

/** How a round of a load is run, with operations from a number on. */
export type RunRound = (load: Load, from: number) => Promise<Round>

/**
 * Measures a subject and its floor in turn, after a round of each that does not count. Each round of the one has a
 * round of the other beside it, a pair, so that a drift of the machine meets both alike; the order is swapped from pair
 * to pair. Many short rounds say more than a few long ones: what disturbs a moment then spoils one pair of many.
 */
export function compare(
  subject: Subject,
  floor: Subject,
  load: Load & { rounds: number },
): Promise<Comparison> {
  const running =
    (of: Subject): RunRound =>
    (part, from) =>
      measureRound(of, part, from)
  return compareRounds({ subject: running(subject), floor: running(floor) }, load)
}

/** The same where rounds are run elsewhere. */
export async function compareRounds(
  run: Readonly<Record<keyof Comparison, RunRound>>,
  load: Load & { rounds: number },
): Promise<Comparison> {
  const rounds: { subject: Round[]; floor: Round[] } = { subject: [], floor: [] }
  let from = 0
  const operations = Math.max(load.concurrency, load.warmUp ?? Math.ceil(load.operations / 4))
  const warmUp = { ...load, operations }
  for (const which of ['subject', 'floor'] as const) await run[which](warmUp, from)
  from += warmUp.operations
  for (let round = 0; round < load.rounds; round++) {
    const order = round % 2 === 0 ? (['floor', 'subject'] as const) : (['subject', 'floor'] as const)
    for (const which of order) rounds[which].push(await run[which](load, from))
    from += load.operations
  }
  return rounds
}

/** What is known of a round that was run elsewhere. */
export interface RoundElsewhere extends Pick<Round, 'seconds' | 'bytes' | 'cpuSeconds' | 'peakRssBytes'> {
  readonly latenciesUs: readonly number[]
}

export function roundElsewhere({ latenciesUs, ...figures }: RoundElsewhere): Round {
  const latency = createHistogram()
  for (const us of latenciesUs) latency.recordValue(Math.max(1, Math.round(us)))
  const written = { byProcess: undefined, toDisk: undefined }
  return { ...figures, latency, written, operations: latenciesUs.length }
}

function createHistogram(): Histogram {
  return build({ numberOfSignificantValueDigits: 3, highestTrackableValue: 600_000_000 })
}
