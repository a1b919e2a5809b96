import { resolve } from 'node:path'
import { runPart } from './parts.ts'
import { type Compared, median, quantile, type Row, ratioText } from './report.ts'
import { timesAsGood, type Unit } from './units.ts'

/** One part of a suite; its number is counted from 1. */
export interface Job {
  readonly suite: string
  readonly part: number
  /** Whether this program measures the packages of the other build too; otherwise the bench of the other build does. */
  readonly loadsPackages: boolean
}

export interface AgainstOptions {
  readonly jobs: readonly Job[]
  /** The folder of another checkout, built. */
  readonly folder: string
  /** Runs of each build. */
  readonly pairs: number
  /** No further part is begun thereafter. */
  readonly minutes: number
  /** `--objects` for parts of this program. */
  readonly objects: string
}

/** What both builds have measured of one row: the figures of a pair stand at the same place. */
interface Both {
  readonly name: string
  readonly concurrency: number
  readonly here: readonly Measured[]
  readonly there: readonly Measured[]
}

/** Rows of the suites cluster and listing have a figure of some unit instead of a rate. */
type Measured = Compared &
  Partial<
    Pick<Row, 'megabytesPerSecond' | 'cpuSecondsPerMegabyte'> & {
      readonly unit: Unit
      readonly figure: number
      readonly cpuUs: number | null
    }
  >

/** What is printed of a row, so that more than 1 is always better here. */
const RATIOS = {
  speed: (here, there) =>
    ratioOf(here.megabytesPerSecond, there.megabytesPerSecond) ?? ratioOfFigures(here, there),
  'of floor': (here, there) => ratioOf(here.ratioToFloor, there.ratioToFloor),
  'less CPU': (here, there) =>
    ratioOf(there.cpuSecondsPerMegabyte, here.cpuSecondsPerMegabyte) ??
    ratioOf(there.cpuUs ?? undefined, here.cpuUs ?? undefined),
} as const satisfies Record<string, (here: Measured, there: Measured) => number | undefined>

/** What is below this is told as slower. */
const AS_FAST = 0.97

const NAME_WIDTH = 40
const RATIO_WIDTH = 24

export function againstHeadLine(): string {
  const meaning =
    'this build beside the other, process after process: more than 1 is better here; the median of the pairs, of which half lie within the brackets. ' +
    '"of floor" compares what each has reached of the floor of its own process, which a drift of the machine leaves alone; "less CPU" is processor time of all threads'
  const titles = Object.keys(RATIOS)
    .map((title) => title.padStart(RATIO_WIDTH))
    .join('')
  const rates = ['MB/s here', 'MB/s there', 'pairs'].map((title) => title.padStart(12)).join('')
  return `${meaning}\n${''.padEnd(NAME_WIDTH)}${titles}${rates}`
}

/** Runs each part in a process of this build, then in one of the other; the order is swapped from pair to pair. */
export async function measureAgainst(
  { jobs, folder, pairs, minutes, objects }: AgainstOptions,
  onLine: (line: string) => void,
): Promise<readonly Both[]> {
  const rows: Both[] = []
  const other = resolve(folder, 'packages/bench/dist/main.js')
  const endMs = performance.now() + 60_000 * minutes
  for (const { suite, part, loadsPackages } of jobs) {
    if (performance.now() > endMs) {
      onLine(`${suite}, part ${part}: left out, since ${minutes} minutes are over`)
      continue
    }
    // The bench of another build may not know the option.
    const args = [suite, '--part', `${part}`, ...(loadsPackages ? ['--objects', objects] : [])]
    const runs: Run[] = []
    for (let pair = 0; pair < pairs; pair++) {
      const run: Run = { here: [], there: [] }
      const order = pair % 2 === 0 ? (['there', 'here'] as const) : (['here', 'there'] as const)
      for (const side of order) {
        const program = side === 'there' && !loadsPackages ? other : undefined
        const packages = side === 'there' && loadsPackages ? ['--packages', resolve(folder)] : []
        await runPart([...args, ...packages], (row) => run[side].push(row), program)
      }
      runs.push(run)
    }
    for (const both of rowsOf(runs)) {
      rows.push(both)
      onLine(againstLine(both))
    }
  }
  return rows
}

interface Run {
  readonly here: Measured[]
  readonly there: Measured[]
}

/** The rows of which this build is slower, by speed where there is one and else by what is reached of the limit. */
export function slowerLines(rows: readonly Both[]): string[] {
  const slower = rows.flatMap((row) => {
    const [speeds, ofFloor] = [ratiosOf(row, RATIOS.speed), ratiosOf(row, RATIOS['of floor'])]
    const ratio = median(speeds.length > 0 ? speeds : ofFloor)
    return ratio < AS_FAST ? [`  ${row.name}, c=${row.concurrency}: ${ratioText(ratio)}`] : []
  })
  const title = `slower by more than 3 %: ${slower.length} of ${rows.length} rows`
  return [title, ...slower]
}

function ratioOf(above: number | undefined, below: number | undefined): number | undefined {
  return above === undefined || below === undefined ? undefined : above / below
}

function ratioOfFigures({ unit, figure }: Measured, there: Measured): number | undefined {
  if (unit === undefined || figure === undefined || there.figure === undefined) return undefined
  return timesAsGood(unit, figure, there.figure)
}

function ratiosOf(
  { here, there }: Both,
  ratio: (here: Measured, there: Measured) => number | undefined,
): number[] {
  return here.flatMap((row, at) => (there[at] === undefined ? [] : (ratio(row, there[at]) ?? [])))
}

/** The rows that both builds have, in the order of this one. */
function rowsOf(runs: readonly Run[]): Both[] {
  return (runs[0]?.here ?? []).flatMap(({ name, concurrency }) => {
    const named = (rows: readonly Measured[]) =>
      rows.filter((row) => row.name === name && row.concurrency === concurrency)
    const [here, there] = [runs.flatMap((run) => named(run.here)), runs.flatMap((run) => named(run.there))]
    return here.length === there.length ? [{ name, concurrency, here, there }] : []
  })
}

function againstLine(both: Both): string {
  const { name, concurrency, here, there } = both
  const ratios = Object.values(RATIOS).map((ratio) => {
    const all = ratiosOf(both, ratio)
    if (all.length === 0) return '–'.padStart(RATIO_WIDTH)
    const half = `${ratioText(quantile(all, 0.25))}–${ratioText(quantile(all, 0.75))}`
    return `${ratioText(median(all))} (${half})`.padStart(RATIO_WIDTH)
  })
  const rates = [here, there].map((rows) => {
    const known = rows.flatMap(({ megabytesPerSecond }) => megabytesPerSecond ?? [])
    return known.length === 0 ? '–' : median(known).toFixed(1)
  })
  const numbers = [...rates, `${here.length}`].map((text) => text.padStart(12)).join('')
  return `${`${name}, c=${concurrency}`.padEnd(NAME_WIDTH)}${ratios.join('')}${numbers}`
}
