/** Where prose is wrapped. */
const WIDTH = 120
/** The longest line that is let pass: nobody should wrap a paragraph anew for the end of a word. */
const LIMIT = 125

/** A piece of prose: what stands before its first line and before the others, and its lines without that. */
interface Paragraph {
  readonly first: string
  readonly rest: string
  readonly lines: readonly string[]
}

const ITEM = /^(\s*(?:[-*+]|\d+\.)\s+)(.*)$/
/** Words after which a line of Markdown would not go on as what it was. */
const MARKER = /^(?:[-+*>|]|#+|\d+[.)])$/

/**
 * The text, with every paragraph that has a longer line than `LIMIT` wrapped anew. Tables, headings and code stay as
 * they are.
 */
export function wrapMarkdown(text: string): string {
  const out: string[] = []
  let paragraph: Paragraph | undefined
  let isCode = false
  const end = () => {
    if (paragraph !== undefined) out.push(...linesOf(paragraph))
    paragraph = undefined
  }
  for (const line of text.split('\n')) {
    const isFence = /^\s*```/.test(line)
    if (isFence) isCode = !isCode
    const item = ITEM.exec(line)
    if (isFence || isCode || /^\s*(?:$|#|\||<|---)/.test(line)) {
      end()
      out.push(line)
    } else if (item !== null) {
      end()
      const [, first = '', words = ''] = item
      paragraph = { first, rest: ' '.repeat(first.length), lines: [words] }
    } else {
      const indent = /^\s*/.exec(line)?.[0] ?? ''
      paragraph ??= { first: indent, rest: indent, lines: [] }
      paragraph = { ...paragraph, lines: [...paragraph.lines, line.trim()] }
    }
  }
  end()
  return out.join('\n')
}

const BLOCK = /^([ \t]*)\/\*\*?([\s\S]*?)\*\/$/gm
const LINES = /(?:^[ \t]*\/\/ (?!biome-ignore|@ts-).*\n)+/gm

/** The source, with every comment that has a longer line than `LIMIT` wrapped anew. Those for tools are left alone. */
export function wrapComments(source: string): string {
  return source.replace(BLOCK, wrapBlock).replace(LINES, wrapLines)
}

function wrapBlock(whole: string, indent: string, body: string): string {
  if (!isLong(whole.split('\n'))) return whole
  const [open] = /\/\*\*?/.exec(whole) ?? ['/**']
  const inner = body.split('\n').map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
  const text = inner.join('\n').trim()
  const narrow = wrapMarkdownTo(text, WIDTH - indent.length - 3)
  const lines = narrow.split('\n').map((line) => `${indent} * ${line}`.trimEnd())
  return [`${indent}${open}`, ...lines, `${indent} */`].join('\n')
}

function wrapLines(whole: string): string {
  const lines = whole.split('\n').slice(0, -1)
  if (!isLong(lines)) return whole
  const indent = /^[ \t]*/.exec(whole)?.[0] ?? ''
  const text = lines.map((line) => line.trim().slice(3)).join('\n')
  const wrapped = wrapMarkdownTo(text, WIDTH - indent.length - 3)
  return `${wrapped
    .split('\n')
    .map((line) => `${indent}// ${line}`)
    .join('\n')}\n`
}

/** Every paragraph, so that those beside a long one have the same width. */
function wrapMarkdownTo(text: string, width: number): string {
  const blocks = text.split(/\n(?=\s*(?:[-*+] |\d+\. |@|$))/)
  return blocks.map((block) => (/^\s*```|\n```/.test(block) ? block : wrapOne(block, width))).join('\n')
}

function wrapOne(block: string, width: number): string {
  if (block.trim() === '') return block
  const item = ITEM.exec(block.split('\n')[0] ?? '')
  const first = item?.[1] ?? ''
  const lines = block.split('\n').map((line, at) => (at === 0 ? line.slice(first.length) : line.trim()))
  return fill({ first, rest: ' '.repeat(first.length), lines }, width).join('\n')
}

function linesOf(paragraph: Paragraph): readonly string[] {
  const { first, rest, lines } = paragraph
  const asTheyAre = lines.map((line, at) => `${at === 0 ? first : rest}${line}`)
  return isLong(asTheyAre) ? fill(paragraph, WIDTH) : asTheyAre
}

function fill({ first, rest, lines }: Paragraph, width: number): string[] {
  const out: string[] = []
  let line = first
  let isEmpty = true
  for (const word of wordsOf(lines.join(' '))) {
    const isOver = line.length + (isEmpty ? 0 : 1) + word.length > width
    if (isOver && !isEmpty && !MARKER.test(word)) {
      out.push(line)
      line = rest
      isEmpty = true
    }
    line += isEmpty ? word : ` ${word}`
    isEmpty = false
  }
  return [...out, line]
}

/** What no line may end in the middle of: words, and code with what stands at its ends. */
function wordsOf(text: string): string[] {
  return text.match(/(?:`[^`]*`|[^\s`])+/g) ?? []
}

/** One word alone, such as a link, may be as long as it is. */
function isLong(lines: readonly string[]): boolean {
  return lines.some((line) => line.length > LIMIT && wordsOf(line.replace(ITEM, '$2')).length > 1)
}

/** The lines of a page, or of the comments of a source, that are longer than `LIMIT`: by number, from 1. */
export function longLines(text: string, kind: 'page' | 'source'): number[] {
  let isCode = false
  return text.split('\n').flatMap((line, at) => {
    if (kind === 'page' && /^\s*```/.test(line)) isCode = !isCode
    const isProse = kind === 'page' ? !isCode && !/^\s*[|#<]/.test(line) : /^\s*(?:\/\/|\/\*|\*)/.test(line)
    return isProse && isLong([line]) && !/biome-ignore|@ts-/.test(line) ? [at + 1] : []
  })
}
