import { readdirSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exists, filesBelow, ROOT, read } from './repository.ts'

/** What lies at the top, as docs say; `node_modules` and other things that git ignores may lie beside it. */
const TOP = [
  '.ci',
  '.gitignore',
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
  'biome.json',
  'docs',
  'examples',
  'findings',
  'package.json',
  'packages',
  'pnpm-lock.yaml',
  'pnpm-workspace.yaml',
  'tsconfig.base.json',
  'vitest.config.ts',
]
const IGNORED_TOP = ['.git', 'node_modules', 'coverage', 'bench-results']

/** Places on the machine of whoever wrote a text. In pieces, since this file is searched as well. */
const PRIVATE_PLACES = [
  ['/wo', 'rk/'],
  ['.lib', 'rary'],
  ['/tmp/', 'brief'],
  ['/ho', 'me/'],
  ['/ro', 'ot/'],
].map((pieces) => pieces.join(''))

const TEXT = /\.(ts|js|mjs|json|md|yaml|hex|txt|css|html|sh)$|LICENSE$|\/run$|\.gitignore$/
const everyFile = () => filesBelow('').filter((path) => path !== 'pnpm-lock.yaml')

interface Link {
  readonly target: string
  readonly anchor: string
}

/** The relative links of a Markdown text, code blocks left out. */
function linksOf(markdown: string): Link[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)[^)]*\)/g)]
    .map((match) => match[1] ?? '')
    .filter((url) => !/^[a-z]+:/.test(url))
    .map((url) => ({ target: url.split('#')[0] ?? '', anchor: url.split('#')[1] ?? '' }))
}

/** The anchors that GitHub gives to the headings of a Markdown text. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  )
}

function brokenLinks(path: string): string[] {
  return linksOf(read(path)).flatMap(({ target, anchor }) => {
    const file = target === '' ? path : posix.join(posix.dirname(path), target)
    if (!exists(file)) return [`${path}: ${target} does not exist`]
    const missing = anchor !== '' && file.endsWith('.md') && !anchorsOf(read(file)).includes(anchor)
    return missing ? [`${path}: ${file} has no heading "${anchor}"`] : []
  })
}

describe('the repository', () => {
  it('has at its top what belongs there, and nothing else', () => {
    const top = readdirSync(ROOT).filter(
      (name) => !IGNORED_TOP.includes(name) && !/\.(log|tsbuildinfo)$/.test(name),
    )
    expect(top.sort()).toEqual(TOP)
  })

  it('has links that lead somewhere', () => {
    const pages = everyFile().filter((path) => path.endsWith('.md'))
    expect(pages.length).toBeGreaterThan(0)
    expect(pages.flatMap(brokenLinks)).toEqual([])
  })

  it('names no place on the machine it was written on', () => {
    const leaks = everyFile()
      .filter((path) => TEXT.test(path))
      .flatMap((path) => {
        const text = read(path)
        return PRIVATE_PLACES.filter((place) => text.includes(place)).map((place) => `${path}: ${place}`)
      })
    expect(leaks).toEqual([])
  })
})

describe('what reads links', () => {
  it('finds relative ones, and none in code or elsewhere', () => {
    const page =
      '[a](a.md) [b](../b.md#part-two "title") [c](https://c.example)\n```\n[d](d.md)\n```\n`[e](e.md)` [f](#here)'
    expect(linksOf(page)).toEqual([
      { target: 'a.md', anchor: '' },
      { target: '../b.md', anchor: 'part-two' },
      { target: '', anchor: 'here' },
    ])
  })

  it('knows the anchors of headings', () => {
    expect(anchorsOf('# One\n## Part two: `it` & more\n```\n# no\n```')).toEqual(['one', 'part-two-it--more'])
  })
})
