import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { checkInteger } from '@atoll/core'
import { againstHeadLine, measureAgainst } from './against.ts'
import { clusterHeadLine, clusterLine } from './cluster/cluster-report.ts'
import { clusterSuite } from './cluster-suite.ts'
import { objectsParts } from './objects-suite.ts'
import { runPart, tellRow } from './parts.ts'
import { type Compared, changes, headLine, line } from './report.ts'
import { storageParts } from './storage-suite.ts'

/**
 * Measures some rows. Each part has a process of its own: what one leaves behind in heap and compiled code must not
 * burden the next.
 */
type Part = (onRow: (row: Compared, line: string) => void) => Promise<void>

interface Suite {
  readonly headLine: () => string
  readonly parts: readonly Part[]
  /** What both sides find on the disk: the first write to a block of a cloud disk may cost five times a rewrite. */
  readonly disk: string
}

const SUITES: Readonly<Record<string, Suite>> = {
  objects: {
    headLine,
    parts: withLines(objectsParts, line),
    disk: 'new files on both sides: every block is touched for the first time',
  },
  storage: {
    headLine,
    parts: withLines(storageParts, line),
    disk: 'space touched before, by the floor and by the value log; new files for the others',
  },
  cluster: {
    headLine: clusterHeadLine,
    parts: withLines([clusterSuite], clusterLine),
    disk: 'new files on both sides',
  },
}

const DEFAULT_PAIRS = 5

const USAGE = `usage: npm run bench -- SUITE [--json] [--compare FILE] [--part N] [--against FOLDER [--pairs N]]
  SUITE           one of: ${Object.keys(SUITES).join(', ')}
  --json          print the rows as JSON, for machines and for --compare
  --compare FILE  say what became of each row since FILE, a result of --json
  --part N        only the N-th part of the suite, in this process: for a profiler
  --against FOLDER  beside the build in another checkout, process after process, --pairs times (default ${DEFAULT_PAIRS}); not for cluster`

process.exitCode = await main()

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      compare: { type: 'string' },
      part: { type: 'string' },
      against: { type: 'string' },
      pairs: { type: 'string', default: `${DEFAULT_PAIRS}` },
    },
  })
  const name = positionals[0] ?? ''
  const suite = SUITES[name]
  const part = values.part === undefined ? undefined : suite?.parts[Number(values.part) - 1]
  if (suite === undefined || positionals.length > 1 || (values.part !== undefined && part === undefined)) {
    process.stderr.write(`${USAGE}\n`)
    return 2
  }
  if (values.against !== undefined) {
    const all = [...suite.parts.keys()].map((at) => at + 1)
    const parts = values.part === undefined ? all : [Number(values.part)]
    const pairs = checkInteger('pairs', Number(values.pairs), { min: 1, max: 1000 })
    const { json, against: folder } = values
    if (!json) say(`${machine()}\n${againstHeadLine()}`)
    const rows = await measureAgainst({ suite: name, parts, folder, pairs }, json ? () => {} : say)
    if (json) say(JSON.stringify(rows, null, 2))
    return 0
  }
  const before = values.compare === undefined ? undefined : await readRows(values.compare)
  const rows: Compared[] = []
  const onRow = (row: Compared, text: string) => {
    rows.push(row)
    tellRow(row, text)
    if (!values.json) say(text)
  }
  if (!values.json) say(`${machine()}\n${suite.disk}\n${suite.headLine()}`)
  if (part !== undefined) await part(onRow)
  else for (const at of suite.parts.keys()) await runPart([name, '--part', `${at + 1}`], onRow)
  if (values.json) say(JSON.stringify(rows, null, 2))
  for (const change of changes(rows, before ?? [])) say(change)
  return 0
}

function withLines<R extends Compared>(
  parts: readonly ((onRow: (row: R) => void) => Promise<void>)[],
  lineOf: (row: R) => string,
): Part[] {
  return parts.map((part) => (onRow) => part((row) => onRow(row, lineOf(row))))
}

function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  return `${cpus().length} × ${model}, Node ${process.version}`
}

async function readRows(path: string): Promise<readonly Compared[]> {
  const rows: unknown = JSON.parse(await readFile(path, 'utf8'))
  if (!Array.isArray(rows)) throw new TypeError(`${path} must hold the JSON array that --json prints`)
  return rows
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
