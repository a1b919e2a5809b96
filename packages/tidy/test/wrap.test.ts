import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { filesBelow, ROOT, read } from './repository.ts'
import { longLines, wrapComments, wrapMarkdown } from './wrap.ts'

/** Wraps what is too long. */
const COMMAND = 'ATOLL_WRAP=1 npx vitest run --project tidy wrap'
const isToWrap = process.env['ATOLL_WRAP'] === '1'

interface Prose {
  readonly path: string
  readonly kind: 'page' | 'source'
  readonly wrap: (text: string) => string
}

const files = filesBelow('').flatMap((path): Prose[] => {
  if (path.endsWith('.md')) return [{ path, kind: 'page', wrap: wrapMarkdown }]
  return /\.(?:ts|mts|js|mjs)$/.test(path) ? [{ path, kind: 'source', wrap: wrapComments }] : []
})

describe('prose', () => {
  it('is wrapped at about 120 characters, in pages and in comments', () => {
    if (isToWrap) {
      for (const { path, wrap } of files) {
        const [before, after] = [read(path), wrap(read(path))]
        if (after !== before) writeFileSync(join(ROOT, path), after)
      }
    }
    expect(files.length).toBeGreaterThan(500)
    const long = files.flatMap(({ path, kind }) =>
      longLines(read(path), kind).map((line) => `${path}:${line}`),
    )
    expect(long, `wrap them by ${COMMAND}`).toEqual([])
  })
})

const WORDS = 'twelve words of this text'

describe('what wraps', () => {
  it('keeps the marks of a list, and leaves headings, tables, code and links as they are', () => {
    const long = `${WORDS} `.repeat(6).trim()
    const kept = [
      `# ${long}`,
      `| ${long} |`,
      '```',
      long,
      '```',
      `https://example.com/${'x'.repeat(120)}`,
      '',
      'short',
      'lines',
    ]
    expect(wrapMarkdown(kept.join('\n'))).toBe(kept.join('\n'))
    expect(longLines(kept.join('\n'), 'page')).toEqual([])
    expect(wrapMarkdown(`- ${long}\n  and more\n- next`).split('\n')).toEqual([
      `- ${`${WORDS} `.repeat(4)}twelve words`,
      '  of this text twelve words of this text and more',
      '- next',
    ])
    expect(longLines(`- ${long}`, 'page')).toEqual([1])
  })

  it('breaks no code, and begins no line with what would be a mark', () => {
    const [dash] = wrapMarkdown(`${'x'.repeat(58)} ${'y'.repeat(59)} - zzzzzzzz`).split('\n')
    expect(dash).toBe(`${'x'.repeat(58)} ${'y'.repeat(59)} -`)
    const code = `\`${WORDS} ${WORDS}\``
    expect(wrapMarkdown(`${'x'.repeat(100)} ${code}.`)).toBe(`${'x'.repeat(100)}\n${code}.`)
  })

  it('wraps the comments of a source, and nothing else of it', () => {
    const long = `${WORDS} `.repeat(6).trim()
    const source = `  /** ${long} */\n  const text = '${long}'\n  // ${long}\n// biome-ignore lint: ${long}\n`
    const wrapped = wrapComments(source)
    expect(longLines(source, 'source')).toEqual([1, 3])
    expect(longLines(wrapped, 'source')).toEqual([])
    expect(wrapped.split('\n').slice(0, 5)).toEqual([
      '  /**',
      `   * ${`${WORDS} `.repeat(4)}twelve`,
      '   * words of this text twelve words of this text',
      '   */',
      `  const text = '${long}'`,
    ])
    expect(wrapComments(wrapped)).toBe(wrapped)
  })
})
