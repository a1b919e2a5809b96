import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { filesBelow, type Package, packages, type SourceFile } from './repository.ts'

const MAX_LINES = 500
const VAGUE = /(^|-)(utils?|helpers?|common|misc|managers?)(?=[-.]|$)/
const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|config|d))*\.[a-z]+$/
/** Where a package begins: its door, its program. */
const ENTRIES = ['index.ts', 'main.ts']

/** The files of `files` that none of the entries reaches by relative imports. */
function unreached(entries: readonly string[], files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const reached = new Set<string>()
  const queue = entries.filter((path) => byPath.has(path))
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue
    reached.add(path)
    const imports = byPath.get(path)?.imports ?? []
    for (const name of imports.filter((target) => target.startsWith('.'))) {
      // A worker is started by the name that it has once it is built.
      queue.push(posix.join(posix.dirname(path), name).replace(/\.js$/, '.ts'))
    }
  }
  return files.map(({ path }) => path).filter((path) => !reached.has(path))
}

/** Declarations for the compiler are not imported. */
const deadSources = ({ path, sources }: Package) =>
  unreached(
    ENTRIES.map((entry) => `${path}/src/${entry}`),
    sources.filter((file) => !file.path.endsWith('.d.ts')),
  )

const deadTests = ({ tests }: Package) =>
  unreached(
    tests.map(({ path }) => path).filter((path) => path.endsWith('.test.ts')),
    tests,
  )

describe('files', () => {
  it('are reached from index.ts or main.ts', () => {
    expect(packages.flatMap(deadSources), 'dead files: import or delete them').toEqual([])
  })

  it('of tests are reached from a test', () => {
    expect(packages.flatMap(deadTests), 'dead files: import or delete them').toEqual([])
  })

  it(`have at most ${MAX_LINES} lines`, () => {
    const long = packages
      .flatMap(({ sources, tests }) => [...sources, ...tests])
      .map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > MAX_LINES)
    expect(long, 'one file, one idea: split it').toEqual([])
  })

  it('have names in kebab-case that say what is in them', () => {
    const names = ['packages', 'examples'].flatMap(filesBelow).filter((path) => path.endsWith('.ts'))
    const odd = names.filter((path) => {
      const name = posix.basename(path)
      return !KEBAB.test(name) || VAGUE.test(name)
    })
    expect(odd).toEqual([])
  })

  it('called index.ts name what they export', () => {
    const vague = packages
      .flatMap(({ path, sources }) => sources.filter((file) => file.path === `${path}/src/index.ts`))
      .filter(({ code }) => /\bexport\s+(type\s+)?\*/.test(code))
    expect(
      vague.map(({ path }) => path),
      'list the names instead of export *',
    ).toEqual([])
  })
})

describe('what finds dead files', () => {
  const file = (path: string, ...imports: string[]): SourceFile => ({ path, text: '', code: '', imports })

  it('follows relative imports, in circles and to workers', () => {
    const files = [
      file('p/src/index.ts', './a.ts', '@atoll/core'),
      file('p/src/a.ts', './deep/b.ts'),
      file('p/src/deep/b.ts', '../a.ts', './worker.js'),
      file('p/src/deep/worker.ts'),
      file('p/src/dead.ts', './a.ts'),
    ]
    expect(unreached(['p/src/index.ts', 'p/src/main.ts'], files)).toEqual(['p/src/dead.ts'])
  })

  it('calls vague names vague', () => {
    const names = ['utils.ts', 'string-helpers.ts', 'common.test.ts', 'node-manager.ts']
    expect(names.filter((name) => !VAGUE.test(name))).toEqual([])
    expect(['commonality.ts', 'utility.ts'].filter((name) => VAGUE.test(name))).toEqual([])
  })
})
