import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GIVEN, MADE } from './given.ts'
import { exists, filesBelow, packages, ROOT, read } from './repository.ts'

interface Block {
  readonly page: string
  readonly line: number
  readonly code: string
}

/**
 * Programs and parts of them that a page shows. Those in JavaScript run in tests of `store`, and must be TypeScript as
 * well, for a reader who pastes them.
 */
function blocksOf(page: string): Block[] {
  const blocks: Block[] = []
  for (const match of read(page).matchAll(/^```(?:ts|js)\n([\s\S]*?)^```/gm)) {
    const line = read(page).slice(0, match.index).split('\n').length
    blocks.push({ page, line, code: match[1] ?? '' })
  }
  return blocks
}

/** Libraries that pages import, where one of the packages has them. */
const LIBRARIES = ['classic-level', 'memory-level', 'vitest']

/** As if all packages, and the libraries of pages, were installed in the folder. */
function installIn(folder: string): void {
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '@atoll'), { recursive: true })
  for (const { manifest, path } of packages)
    if (manifest.name.startsWith('@atoll/')) symlinkSync(join(ROOT, path), join(modules, manifest.name))
  for (const library of LIBRARIES) {
    const homes = ['.', ...packages.map(({ path }) => path)].map((path) => `${path}/node_modules/${library}`)
    const home = homes.find(exists)
    if (home !== undefined) symlinkSync(realpathSync(join(ROOT, home)), join(modules, library))
  }
}

const OUT = 'out'
const CONFIG = {
  extends: join(ROOT, 'packages/tidy/tsconfig.tests.json'),
  compilerOptions: {
    typeRoots: [join(ROOT, 'node_modules/@types')],
    // A page shows a result by naming it, and need not use everything that it has.
    noUnusedLocals: false,
    noUnusedParameters: false,
    noEmit: false,
    rootDir: '.',
    outDir: OUT,
    allowImportingTsExtensions: false,
    rewriteRelativeImportExtensions: true,
  },
  include: ['*.mts'],
}

const blocks = filesBelow('')
  .filter((path) => path.endsWith('.md') && !path.startsWith('docs/decisions/'))
  .flatMap(blocksOf)
const fileOf = ({ page, line }: Block) => `${page.replaceAll('/', '.')}.${line}`

/** Needs a build, as `publint.test.ts` does: the programs import what would be published. */
const built = process.env['npm_lifecycle_event'] === 'check'
/** A block that would need machines, keys or a test runner of its own is not run; nor is one that only sets up a signal. */
const run = blocks.filter(
  ({ page, code }) =>
    GIVEN[page]?.notRun === undefined && !/\btcp\(|^import test from|from 'vitest'/m.test(code),
)
const RUN_MS = 120_000

let folder = ''
let said = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'atoll-pages-'))
  installIn(folder)
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(CONFIG))
  writeFileSync(join(folder, 'made.mts'), MADE)
  for (const block of blocks) {
    // A whole program makes its own node.
    const isWhole = /^const node\b/m.test(block.code)
    const given = isWhole ? '' : (GIVEN[block.page]?.code ?? '').replaceAll(/\n */g, ';')
    // On one line, so that the lines of errors are those of the block.
    writeFileSync(join(folder, `${fileOf(block)}.mts`), `${given};export {};${block.code}`)
  }
  try {
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8', cwd: folder })
  } catch (error) {
    said = error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
  }
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

it('every program that a page shows compiles', () => {
  // Sources have a test of their own.
  expect(said.split('\n').filter((line) => line.includes('.mts('))).toEqual([])
  expect(said).not.toContain('TS18003')
  expect(blocks.length).toBeGreaterThan(15)
})

/** Resolves with the last error code that the program wrote, or an empty text if it came to its end. */
function ending(block: Block): string {
  const home = mkdtempSync(join(folder, 'run-'))
  // Some of them leave nodes and threads behind, or wait for a timer that keeps no process alive; they are not about that.
  const program = `setInterval(() => {}, 1000); await import(${JSON.stringify(join(folder, OUT, `${fileOf(block)}.mjs`))}); process.exit(0)`
  const args = ['--input-type=module', '--eval', program]
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: home,
    encoding: 'utf8',
    timeout: RUN_MS,
  })
  if (status === 0) return ''
  return /code: '(ATOLL_\w+)'/.exec(stderr)?.[1] ?? (stderr || `it ended with ${status}`)
}

describe.runIf(built)('every program that a page shows runs', () => {
  it.each(run.map((block) => [`${block.page}:${block.line}`, block] as const))('%s', (_where, block) => {
    expect(ending(block)).toBe(GIVEN[block.page]?.rejects ?? '')
  })
})

it('no page is passed over without a reason', () => {
  const passed = new Set(blocks.filter((block) => !run.includes(block)).map(({ page }) => page))
  const explained = [...passed].filter((page) => GIVEN[page]?.notRun !== undefined)
  expect([...passed].filter((page) => !explained.includes(page)).sort()).toEqual([
    'docs/OPERATING.md',
    'docs/TESTING.md',
  ])
})
