import { resolve } from 'node:path'
import { runPart } from './parts.ts'
import { median, quantile, type Row, ratioText } from './report.ts'

export interface AgainstOptions {
  readonly suite: string
  /** Numbers of parts, from 1. */
  readonly parts: readonly number[]
  /** The folder of another checkout, built. */
  readonly folder: string
  /** Runs of each build. */
  readonly pairs: number
}

/** What both builds have measured of one row: the figures of a pair stand at the same place. */
interface Both {
  readonly name: string
  readonly concurrency: number
  readonly here: readonly Row[]
  readonly there: readonly Row[]
}

/** What is printed of a row, so that more than 1 is always better here. */
const RATIOS: readonly (readonly [string, (here: Row, there: Row) => number])[] = [
  ['speed', (here, there) => here.megabytesPerSecond / there.megabytesPerSecond],
  ['of floor', (here, there) => here.ratioToFloor / there.ratioToFloor],
  ['less CPU', (here, there) => there.cpuSecondsPerMegabyte / here.cpuSecondsPerMegabyte],
]

const NAME_WIDTH = 40
const RATIO_WIDTH = 24

export function againstHeadLine(): string {
  const meaning =
    'this build beside the other, process after process: more than 1 is better here; the median of the pairs, of which half lie within the brackets. ' +
    '"of floor" compares what each has reached of the floor of its own process, which a drift of the machine leaves alone; "less CPU" is processor time of all threads'
  const titles = RATIOS.map(([title]) => title.padStart(RATIO_WIDTH)).join('')
  const rates = ['MB/s here', 'MB/s there', 'pairs'].map((title) => title.padStart(12)).join('')
  return `${meaning}\n${''.padEnd(NAME_WIDTH)}${titles}${rates}`
}

/** Runs each part in a process of this build, then in one of the other; the order is swapped from pair to pair. */
export async function measureAgainst(
  { suite, parts, folder, pairs }: AgainstOptions,
  onLine: (line: string) => void,
): Promise<readonly Both[]> {
  const rows: Both[] = []
  const other = resolve(folder, 'packages/bench/dist/main.js')
  for (const part of parts) {
    const args = [suite, '--part', `${part}`]
    const runs: { here: Row[]; there: Row[] }[] = []
    for (let pair = 0; pair < pairs; pair++) {
      const run = { here: [] as Row[], there: [] as Row[] }
      const order = pair % 2 === 0 ? (['there', 'here'] as const) : (['here', 'there'] as const)
      for (const side of order) {
        const program = side === 'there' ? other : undefined
        await runPart(args, (row) => run[side].push(checkRow(row)), program)
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

function checkRow(row: object): Row {
  if (isRow(row)) return row
  throw new TypeError('only suites whose rows have a rate can be measured against another build')
}

function isRow(row: object): row is Row {
  return 'megabytesPerSecond' in row && 'cpuSecondsPerMegabyte' in row
}

/** The rows that both builds have, in the order of this one. */
function rowsOf(runs: readonly { here: readonly Row[]; there: readonly Row[] }[]): Both[] {
  return (runs[0]?.here ?? []).flatMap(({ name, concurrency }) => {
    const named = (rows: readonly Row[]) => rows.filter((row) => row.name === name)
    const [here, there] = [runs.flatMap((run) => named(run.here)), runs.flatMap((run) => named(run.there))]
    return here.length === there.length ? [{ name, concurrency, here, there }] : []
  })
}

function againstLine({ name, concurrency, here, there }: Both): string {
  const ratios = RATIOS.map(([, ratio]) => {
    const all = here.flatMap((row, at) => (there[at] === undefined ? [] : [ratio(row, there[at])]))
    const half = `${ratioText(quantile(all, 0.25))}–${ratioText(quantile(all, 0.75))}`
    return `${ratioText(median(all))} (${half})`.padStart(RATIO_WIDTH)
  })
  const rates = [here, there].map((rows) => median(rows.map((row) => row.megabytesPerSecond)).toFixed(1))
  const numbers = [...rates, `${here.length}`].map((text) => text.padStart(12)).join('')
  return `${`${name}, c=${concurrency}`.padEnd(NAME_WIDTH)}${ratios.join('')}${numbers}`
}
