import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { objectsSuite } from './objects-suite.ts'
import { changes, headLine, line, type Row } from './report.ts'
import { storageSuite } from './storage-suite.ts'

interface Suite {
  readonly run: (onRow: (row: Row) => void) => Promise<void>
  /** What both sides find on the disk: the first write to a block of a cloud disk may cost five times a rewrite. */
  readonly disk: string
}

const SUITES: Readonly<Record<string, Suite>> = {
  objects: { run: objectsSuite, disk: 'new files on both sides: every block is touched for the first time' },
  storage: {
    run: storageSuite,
    disk: 'space touched before, by the floor and by the value log; new files for the others',
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
  const rows: Row[] = []
  if (!values.json) say(`${machine()}\n${suite.disk}\n${headLine()}`)
  await suite.run((row) => {
    rows.push(row)
    if (!values.json) say(line(row))
  })
  if (values.json) say(JSON.stringify(rows, null, 2))
  for (const change of changes(rows, before ?? [])) say(change)
  return 0
}

function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  return `${cpus().length} × ${model}, Node ${process.version}`
}

async function readRows(path: string): Promise<readonly Row[]> {
  const rows: unknown = JSON.parse(await readFile(path, 'utf8'))
  if (!Array.isArray(rows)) throw new TypeError(`${path} must hold the JSON array that --json prints`)
  return rows
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
