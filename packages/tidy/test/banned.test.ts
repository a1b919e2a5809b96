import { describe, expect, it } from 'vitest'
import { type Ban, IMPURE, NAMELESS, ONE_REALM, offences, UNFINISHED, UNSAFE } from './banned.ts'
import { isPure } from './layers.ts'
import { packages } from './repository.ts'
import { importsOf, withoutComments, withoutTexts } from './source-text.ts'

/** Where the errors about arguments are made. */
const ARGUMENT_ERRORS = 'packages/core/src/argument-error.ts'
/** Where values of other realms are known. */
const REALMS = 'packages/core/src/realms.ts'

describe('sources', () => {
  it('of pure packages are deterministic', () => {
    const pure = packages.filter(({ name }) => isPure(name)).flatMap(({ sources }) => sources)
    expect(pure.length).toBeGreaterThan(0)
    expect(pure.flatMap(({ path, code }) => offences(path, code, IMPURE))).toEqual([])
  })

  it('do not lie to the compiler', () => {
    const all = packages.flatMap(({ sources }) => sources)
    expect(all.flatMap(({ path, code }) => offences(path, code, UNSAFE))).toEqual([])
  })

  it('know errors and bytes of every realm', () => {
    const all = packages.filter(({ path, name }) => path.startsWith('packages/') && name !== 'bench')
    const texts = all.flatMap(({ sources }) => sources).filter(({ path }) => path !== REALMS)
    expect(texts.flatMap(({ path, code }) => offences(path, code, ONE_REALM))).toEqual([])
  })

  it('name the argument that an error is about', () => {
    const all = packages.filter(({ path, name }) => path.startsWith('packages/') && name !== 'bench')
    const texts = all.flatMap(({ sources }) => sources).filter(({ path }) => path !== ARGUMENT_ERRORS)
    expect(texts.flatMap(({ path, text }) => offences(path, text, NAMELESS))).toEqual([])
  })

  it('are finished', () => {
    const all = packages.flatMap(({ sources }) => sources)
    expect(all.flatMap(({ path, text }) => offences(path, text, UNFINISHED))).toEqual([])
  })
})

describe('every ban', () => {
  it.each<Ban>([...IMPURE, ...UNSAFE, ...ONE_REALM, ...NAMELESS, ...UNFINISHED])(
    'refuses what it is for: $example',
    (ban) => {
      expect(offences('file.ts', `const x = 1\n${ban.example}`, [ban])).toEqual([
        expect.stringMatching(/^file\.ts:2 has ".+": use .+/),
      ])
    },
  )

  it.each([
    'new ArrayBuffer(8)',
    'this.process.start()',
    'const company: Company = many',
    'runtime.clock.timer(5, fire)',
    'type Anything = unknown',
  ])('lets pass what only looks like it: %s', (code) => {
    expect(offences('file.ts', code, [...IMPURE, ...UNSAFE, ...UNFINISHED])).toEqual([])
  })
})

describe('the scanner', () => {
  it.each([
    ['code // Date.now()', 'code              '],
    ['a /* b */ c', 'a         c'],
    ["f('Date.now')", "f('        ')"],
    ["f('it\\'s') + g", "f('     ') + g"],
    [`\`a \${b + \`c \${d}\` } e\` + f`, `\`  \${b + \`  \${d}\` }  \` + f`],
    [`\`\${ {a: 1}.a }\` + b`, `\`\${ {a: 1}.a }\` + b`],
    ['a / b / c', 'a / b / c'],
    ['x = /[\'"/]/.test(y)', 'x = /     /.test(y)'],
    ['return /a\\/b/ // c', 'return /    /     '],
    ["'// no comment' + a", "'             ' + a"],
    ['/* a\nb */ c', '    \n     c'],
  ])('blanks comments and texts: %s', (source, expected) => {
    expect(withoutTexts(source)).toBe(expected)
  })

  it('keeps texts where only comments must go', () => {
    expect(withoutComments("f('a') // b")).toBe("f('a')     ")
  })

  it('finds every way to import', () => {
    const source = `import a from './a.ts'
import type { B } from "@atoll/b"
import {
  c,
  d,
} from './c.ts'
import './side-effect.ts'
export * from './e.ts'
export { f, type G } from './f.ts'
const h = await import('./h.ts')
const worker = new Worker(new URL('./worker.js', import.meta.url))
export const from = 'nowhere'
// import z from './z.ts'
const text = "import('./z.ts')"
`
    expect(importsOf(source).sort()).toEqual(
      [
        './a.ts',
        '@atoll/b',
        './c.ts',
        './side-effect.ts',
        './e.ts',
        './f.ts',
        './h.ts',
        './worker.js',
      ].sort(),
    )
  })
})
