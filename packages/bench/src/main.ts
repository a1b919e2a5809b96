import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { checkInteger } from '@atoll/core'
import { againstHeadLine, type Job, measureAgainst, slowerLines } from './against.ts'
import { clusterHeadLine, clusterLine } from './cluster/cluster-report.ts'
import { clusterParts } from './cluster-suite.ts'
import { digestsParts } from './digests-suite.ts'
import { hotParts } from './hot-suite.ts'
import { goalHeadLine, goalLine } from './listing/goal-report.ts'
import { listingParts } from './listing-suite.ts'
import { objectsParts } from './objects-suite.ts'
import { OWN_FOLDER } from './own-folder.ts'
import { type PartOptions, runPart, tellRow } from './parts.ts'
import { processesParts } from './processes-suite.ts'
import { type Compared, changes, headLine, line } from './report.ts'
import { OWN_STORAGE_PARTS, storageParts } from './storage-suite.ts'

/**
 * Measures some rows. Each part has a process of its own: what one leaves behind in heap and compiled code must not
 * burden the next.
 */
type Part = (onRow: (row: Compared, line: string) => void, options: PartOptions) => Promise<void>

interface Suite {
  readonly headLine: () => string
  readonly parts: readonly Part[]
  /** The parts that a comparison with another build has; default all. */
  readonly ownParts?: readonly number[]
  /** Whether the parts load what they measure from the folder that they are told. */
  readonly loadsPackages?: boolean
  /** What both sides find on the disk: the first write to a block of a cloud disk may cost five times a rewrite. */
  readonly disk: string
}

const SUITES: Readonly<Record<string, Suite>> = {
  objects: {
    headLine,
    parts: withLines(objectsParts, line),
    loadsPackages: true,
    disk: 'new files on both sides: every block is touched for the first time',
  },
  hot: {
    headLine,
    parts: withLines(hotParts, line),
    loadsPackages: true,
    disk: 'new files on both sides',
  },
  processes: {
    headLine,
    parts: withLines(processesParts, line),
    loadsPackages: true,
    disk: 'new files on both sides',
  },
  storage: {
    headLine,
    parts: withLines(storageParts, line),
    ownParts: OWN_STORAGE_PARTS,
    disk: 'space touched before, by the floor and by the value log; new files for the others',
  },
  digests: {
    headLine,
    parts: withLines(digestsParts, line),
    loadsPackages: true,
    disk: 'no disk',
  },
  listing: {
    headLine: goalHeadLine,
    parts: withLines(listingParts, goalLine),
    loadsPackages: true,
    disk: 'new files on both sides',
  },
  cluster: {
    headLine: clusterHeadLine,
    parts: withLines(clusterParts, clusterLine),
    loadsPackages: true,
    disk: 'new files on both sides',
  },
}

const DEFAULT_PAIRS = 5
/** A comparison of all suites: what is done twice is done once each, and ends before long. */
const ALL = 'all'
const DEFAULT_MINUTES = 20
/** In the largest directory of the suite `listing`, by itself and in a comparison of all suites. */
const MOST_OBJECTS = '1000000'
const FEWER_OBJECTS = '100000'

const USAGE = `usage: npm run bench -- SUITE [--json] [--compare FILE] [--part N] [--against FOLDER [--pairs N] [--minutes N]] [--objects N]
  SUITE           one of: ${Object.keys(SUITES).join(', ')}; with --against also ${ALL}
  --json          print the rows as JSON, for machines and for --compare
  --compare FILE  say what became of each row since FILE, a result of --json
  --part N        only the N-th part of the suite, in this process: for a profiler
  --against FOLDER  beside the build in another checkout, process after process, --pairs times (default ${DEFAULT_PAIRS}, of ${ALL} 1);
                  no part is begun after --minutes (default of ${ALL} ${DEFAULT_MINUTES}, else none)
  --packages FOLDER  the checkout of which the suites cluster, digests, hot, listing, objects and processes measure the packages; default this one
  --objects N     how many the largest directory of the suite listing gets, 10000 or more; default ${MOST_OBJECTS}, of ${ALL} ${FEWER_OBJECTS}`

process.exitCode = await main()

async function main(): Promise<number> {
  const command = parse()
  if (command === undefined) {
    process.stderr.write(`${USAGE}\n`)
    return 2
  }
  const { values, positionals } = command
  const name = positionals[0] ?? ''
  if (name === ALL && positionals.length === 1 && values.part === undefined && values.against !== undefined) {
    const { json, against, pairs = '1', minutes = `${DEFAULT_MINUTES}`, objects = FEWER_OBJECTS } = values
    const jobs = Object.keys(SUITES).flatMap(jobsOf)
    return await compareBuilds(jobs, { json, against, pairs, minutes, objects })
  }
  const suite = SUITES[name]
  const part = values.part === undefined ? undefined : suite?.parts[Number(values.part) - 1]
  if (suite === undefined || positionals.length > 1 || (values.part !== undefined && part === undefined)) {
    process.stderr.write(`${USAGE}\n`)
    return 2
  }
  if (values.against !== undefined) {
    const { json, against, pairs = `${DEFAULT_PAIRS}`, minutes = 'Infinity', objects = MOST_OBJECTS } = values
    const jobs =
      values.part === undefined
        ? jobsOf(name)
        : [{ suite: name, part: Number(values.part), loadsPackages: suite.loadsPackages ?? false }]
    return await compareBuilds(jobs, { json, against, pairs, minutes, objects })
  }
  const before = values.compare === undefined ? undefined : await readRows(values.compare)
  const rows: Compared[] = []
  const onRow = (row: Compared, text: string) => {
    rows.push(row)
    tellRow(row, text)
    if (!values.json) say(text)
  }
  if (!values.json) say(`${machine()}\n${suite.disk}\n${suite.headLine()}`)
  const { packages, objects = MOST_OBJECTS } = values
  const options = { packages, objects: checkObjects(objects) }
  if (part !== undefined) await part(onRow, options)
  else
    for (const at of suite.parts.keys())
      await runPart([name, '--part', `${at + 1}`, '--packages', packages, '--objects', objects], onRow)
  if (values.json) say(JSON.stringify(rows, null, 2))
  for (const change of changes(rows, before ?? [])) say(change)
  return 0
}

/** The command line; undefined if it has an option that is not known. */
function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        compare: { type: 'string' },
        part: { type: 'string' },
        against: { type: 'string' },
        pairs: { type: 'string' },
        minutes: { type: 'string' },
        packages: { type: 'string', default: OWN_FOLDER },
        objects: { type: 'string' },
      },
    })
  } catch {
    return undefined
  }
}

function checkObjects(objects: string): number {
  return checkInteger('objects', Number(objects), { min: 10_000, max: 100_000_000 })
}

function jobsOf(suite: string): Job[] {
  const { parts, ownParts, loadsPackages = false } = SUITES[suite] ?? { parts: [] }
  const numbers = ownParts ?? [...parts.keys()].map((at) => at + 1)
  return numbers.map((part) => ({ suite, part, loadsPackages }))
}

async function compareBuilds(
  jobs: readonly Job[],
  options: {
    readonly json: boolean
    readonly against: string
    readonly pairs: string
    readonly minutes: string
    readonly objects: string
  },
): Promise<number> {
  const { json, against: folder, objects } = options
  checkObjects(objects)
  const pairs = checkInteger('pairs', Number(options.pairs), { min: 1, max: 1000 })
  const minutes = Number(options.minutes)
  if (!(minutes > 0)) throw new RangeError(`minutes must be more than 0, got ${options.minutes}`)
  if (!json) say(`${machine()}\n${againstHeadLine()}`)
  const rows = await measureAgainst({ jobs, folder, pairs, minutes, objects }, json ? () => {} : say)
  if (json) say(JSON.stringify(rows, null, 2))
  else for (const text of slowerLines(rows)) say(text)
  return 0
}

function withLines<R extends Compared>(
  parts: readonly ((onRow: (row: R) => void, options: PartOptions) => Promise<void>)[],
  lineOf: (row: R) => string,
): Part[] {
  return parts.map((part) => (onRow, options) => part((row) => onRow(row, lineOf(row)), options))
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
