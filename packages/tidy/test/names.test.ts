import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packages, read } from './repository.ts'
import { withoutComments } from './source-text.ts'

/** The types and classes that a door declares, or has from files of its own package; not those of other packages. */
function typesOf(door: string): string[] {
  const lists = [...withoutComments(door).matchAll(/export (?:type )?\{([^}]*)\} from '\.[^']*'/g)]
  return lists
    .flatMap((match) => (match[1] ?? '').split(','))
    .map(
      (name) =>
        name
          .trim()
          .replace(/^type /, '')
          .split(' as ')
          .at(-1) ?? '',
    )
    .filter((name) => /^[A-Z][A-Za-z0-9]*[a-z]/.test(name))
}

/** Names that several doors give to types of their own. */
function twice(doors: ReadonlyMap<string, string>): string[] {
  const homes = new Map<string, string[]>()
  for (const [path, door] of doors)
    for (const name of typesOf(door)) homes.set(name, [...(homes.get(name) ?? []), path])
  return [...homes]
    .filter(([, paths]) => paths.length > 1)
    .map(([name, paths]) => `${name}: ${paths.join(', ')}`)
}

describe('names of types', () => {
  it('stand on one door of the house', () => {
    const doors = packages.flatMap(({ path, sources }) =>
      sources.filter((file) => file.path === `${path}/src/index.ts`),
    )
    expect(doors.length).toBeGreaterThan(10)
    expect(twice(new Map(doors.map(({ path, text }) => [path, text])))).toEqual([])
  })

  it('are found in every kind of list, and constants are none', () => {
    const one = `export { type Row, Table, LIMITS, make } from './a.ts'\nexport type { Cell } from './b.ts'`
    const two = `export { Table } from './c.ts'\nexport type { Old as Cell } from './d.ts'\nexport type { Row } from '@atoll/one'`
    expect(typesOf(one)).toEqual(['Row', 'Table', 'Cell'])
    expect(
      twice(
        new Map([
          ['one', one],
          ['two', two],
        ]),
      ),
    ).toEqual(['Table: one, two', 'Cell: one, two'])
  })
})

const PAGE = 'docs/ARCHITECTURE.md'

interface Place {
  readonly path: string
  readonly name: string
}

/** Where a table says that a step is: "| step | [name](file) | `function` |". */
function placesIn(page: string): Place[] {
  return [...page.matchAll(/^\| [^|]+ \| \[[^\]]+\]\(([^)]+)\) \| `([^`]+)` \|$/gm)].map((match) => ({
    path: posix.join(posix.dirname(PAGE), match[1] ?? ''),
    name: match[2] ?? '',
  }))
}

const escaped = (name: string) => name.replaceAll('#', '\\#')

/** Whether a file has a function, or a class with the method, of that name. */
function has(code: string, name: string): boolean {
  const [owner = '', method] = name.split('.')
  if (method === undefined) return new RegExp(`^export (async )?function\\*? ${owner}\\b`, 'm').test(code)
  const begin = code.search(new RegExp(`^export class ${owner}\\b`, 'm'))
  const end = code.indexOf('\n}\n', begin)
  if (begin < 0) return false
  return new RegExp(`^  (async )?\\*?${escaped(method)}[(<]`, 'm').test(code.slice(begin, end))
}

describe('the way of an object', () => {
  it.each(['PUT', 'GET'])('names for each step of a %s a file and a function that are there', (verb) => {
    const [, section = ''] = read(PAGE).split(`## How an object travels: ${verb}\n`)
    const [text = ''] = section.split('\n## ')
    const places = placesIn(text)
    const steps = [...text.matchAll(/^(\d+)\. /gm)].map((match) => match[1])
    expect(steps.filter((step) => !new RegExp(`^\\| ${step} `, 'm').test(text))).toEqual([])
    expect(places.length).toBeGreaterThanOrEqual(steps.length)
    const lost = places.filter(({ path, name }) => !has(read(path), name))
    expect(lost).toEqual([])
  })

  it('is looked for by class and by function', () => {
    const code = `export class A {\n  async #b(): Promise<void> {}\n  c<T>(t: T) {}\n}\nexport class D {\n  e() {}\n}\nexport function f() {}\n`
    expect(['A.#b', 'A.c', 'D.e', 'f'].every((name) => has(code, name))).toBe(true)
    expect(['A.b', 'A.e', 'D.c', 'B.c', 'e', 'g'].some((name) => has(code, name))).toBe(false)
  })
})
