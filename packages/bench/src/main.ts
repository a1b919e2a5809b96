import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { clusterHeadLine, clusterLine } from './cluster/cluster-report.ts'
import { clusterSuite } from './cluster-suite.ts'
import { objectsSuite } from './objects-suite.ts'
import { type Compared, changes, headLine, line } from './report.ts'
import { storageSuite } from './storage-suite.ts'

interface Suite {
  readonly headLine: () => string
  readonly run: (onRow: (row: Compared, line: string) => void) => Promise<void>
  /** What both sides find on the disk: the first write to a block of a cloud disk may cost five times a rewrite. */
  readonly disk: string
}

const SUITES: Readonly<Record<string, Suite>> = {
  objects: {
    headLine,
    run: (onRow) => objectsSuite((row) => onRow(row, line(row))),
    disk: 'new files on both sides: every block is touched for the first time',
  },
  storage: {
    headLine,
    run: (onRow) => storageSuite((row) => onRow(row, line(row))),
    disk: 'space touched before, by the floor and by the value log; new files for the others',
  },
  cluster: {
    headLine: clusterHeadLine,
    run: (onRow) => clusterSuite((row) => onRow(row, clusterLine(row))),
    disk: 'new files on both sides',
  },
}

const USAGE = `usage: npm run bench -- SUITE [--json] [--compare FILE]
  SUITE           one of: ${Object.keys(SUITES).join(', ')}
  --json          print the rows as JSON, for machines and for --compare
  --compare FILE  say what became of each row since FILE, a result of --json`

process.exitCode = await main()

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, compare: { type: 'string' } },
  })
  const suite = SUITES[positionals[0] ?? '']
  if (suite === undefined || positionals.length > 1) {
    process.stderr.write(`${USAGE}\n`)
    return 2
  }
  const before = values.compare === undefined ? undefined : await readRows(values.compare)
  const rows: Compared[] = []
  if (!values.json) say(`${machine()}\n${suite.disk}\n${suite.headLine()}`)
  await suite.run((row, text) => {
    rows.push(row)
    if (!values.json) say(text)
  })
  if (values.json) say(JSON.stringify(rows, null, 2))
  for (const change of changes(rows, before ?? [])) say(change)
  return 0
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
