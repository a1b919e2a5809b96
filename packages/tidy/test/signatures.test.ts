import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packages, ROOT, read } from './repository.ts'
import { withoutComments } from './source-text.ts'

/**
 * A program that is compiled with `declaration: true` has to name the types of what it exports, and pnpm lets it import only
 * the package that it has installed. The declarations of a build say which types those are: see `publint.test.ts`.
 */
const built = process.env['npm_lifecycle_event'] === 'check'

const DOOR = 'packages/store/src/index.ts'

/** Parts inside of a node: whoever handles them installs their packages as well. */
const INSIDE = new Set(['Coordinator', 'Database', 'Replicas', 'VnodeHost'])

interface Declaration {
  readonly name: string
  readonly text: string
  /** Names that its file declares, or imports from a package of the house or a file of its own. */
  readonly known: ReadonlySet<string>
}

/** What a file of declarations exports. */
function declarationsOf(source: string): Declaration[] {
  const text = withoutComments(source)
  const parts = text.split(/^(?=(?:export |declare |interface |type |import ))/m)
  const imported = [...text.matchAll(/^import (?:type )?\{([^}]*)\} from '(?:@atoll\/|\.)[^']*'/gm)].flatMap(
    (match) =>
      (match[1] ?? '').split(',').map(
        (name) =>
          name
            .trim()
            .replace(/^type /, '')
            .split(' as ')
            .at(-1) ?? '',
      ),
  )
  const named = parts.flatMap((part) => {
    const found =
      /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class|function|const) (\w+)/.exec(part)
    return found?.[1] === undefined ? [] : [{ name: found[1], text: part }]
  })
  const known = new Set([...imported, ...named.map(({ name }) => name)].filter((name) => /^[A-Z]/.test(name)))
  return named.map(({ name, text }) => ({ name, text, known }))
}

/** The types that a declaration names, without its own name, its parameters, what is private, and what makes it. */
function namedBy({ name, text, known }: Declaration): string[] {
  const parameters = /^[^<({=]*<([^{(=]*?)>/.exec(text)?.[1] ?? ''
  const own = new Set([name, ...[...parameters.matchAll(/(?:^|,)\s*([A-Z]\w*)/g)].map((match) => match[1])])
  const visible = text.replace(/^ *(?:private |#private|constructor\().*$/gm, '')
  const words = new Set([...visible.matchAll(/\b[A-Z]\w*[a-z]\w*\b/g)].map((match) => match[0]))
  return [...words].filter((word) => known.has(word) && !own.has(word)).sort()
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.d.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
}

/** What a door exports, and the package or file that it has each from. */
function exportsOf(door: string): Map<string, string> {
  const lists = withoutComments(door).matchAll(/export (?:type )?\{([^}]*)\} from '([^']*)'/g)
  return new Map(
    [...lists].flatMap(([, names = '', from = '']) =>
      names
        .split(',')
        .map((name) => name.trim().replace(/^type /, ''))
        .filter((name) => name !== '')
        .map((name): [string, string] => [name, from]),
    ),
  )
}

describe.runIf(built)('the door of a program', () => {
  it('has every type that a signature of its names', () => {
    const door = exportsOf(read(DOOR))
    const folders = new Map(packages.map(({ manifest, path }) => [manifest.name, join(ROOT, path, 'dist')]))
    const missing = [...door].flatMap(([name, from]) => {
      if (INSIDE.has(name)) return []
      const folder = from.startsWith('.') ? join(ROOT, dirname(dirname(DOOR)), 'dist') : folders.get(from)
      const declarations = (folder === undefined ? [] : filesBelow(folder))
        .flatMap((file) => declarationsOf(readFileSync(file, 'utf8')))
        .filter((declaration) => declaration.name === name)
      return declarations
        .flatMap(namedBy)
        .filter((named) => !door.has(named))
        .map((named) => `${name} names ${named}`)
    })
    expect(missing).toEqual([])
  })
})

describe('types that a declaration names', () => {
  it('are those of the house, without its own and what is private', () => {
    const source = `import type { Row } from '@atoll/one'
import type { EventEmitter } from 'other'
/** See Ghost. */
interface Ghost { readonly a: number }
export declare class Table<Cell extends Row> extends EventEmitter {
    private readonly hidden: Ghost;
    #private;
    row(at: number): Promise<Row | undefined>;
    cell(of: Cell): Table<Cell>;
}
export type Shape = Table<Row>;
`
    expect(declarationsOf(source).map((one) => [one.name, namedBy(one)])).toEqual([
      ['Ghost', []],
      ['Table', ['Row']],
      ['Shape', ['Row', 'Table']],
    ])
  })
})
