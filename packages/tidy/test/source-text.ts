/**
 * A small scanner of TypeScript: enough to tell code from comments, strings and regular expressions. Blanks keep their
 * length and line breaks, so that positions stay true.
 */

type Kind = 'code' | 'comment' | 'text'

export function withoutComments(source: string): string {
  return blank(source, (kind) => kind === 'comment')
}

/** Without comments and without what is inside of strings and regular expressions. */
export function withoutTexts(source: string): string {
  return blank(source, (kind) => kind !== 'code')
}

/** The module names that a source imports, re-exports, loads or starts as a worker. */
export function importsOf(source: string): string[] {
  const [uncommented, code] = [withoutComments(source), withoutTexts(source)]
  const forms = [
    /^(?:import|export)\b[^'"`;]*?\bfrom\s*(['"])(.+?)\1/gm,
    /^import\s*(['"])(.+?)\1/gm,
    /\bimport\s*\(\s*(['"])(.+?)\1/g,
    /\bnew URL\(\s*(['"])(\.{1,2}\/.+?\.[jt]s)\1\s*,\s*import\.meta\.url/g,
  ]
  return forms
    .flatMap((form) => [...uncommented.matchAll(form)])
    .filter((match) => code[match.index] !== ' ')
    .map((match) => match[2] ?? '')
}

export function lineAt(source: string, position: number): number {
  return source.slice(0, position).split('\n').length
}

function blank(source: string, hidden: (kind: Kind) => boolean): string {
  let result = ''
  for (const { kind, from, to } of pieces(source)) {
    const piece = source.slice(from, to)
    result += hidden(kind) ? piece.replace(/[^\n]/g, ' ') : piece
  }
  return result
}

interface Piece {
  readonly kind: Kind
  readonly from: number
  readonly to: number
}

/** All that can begin or end anything. */
const NOTEWORTHY = /['"`/{}]/g

/** The source in pieces, without gaps. The quotes of a string belong to the code. */
function* pieces(source: string): Generator<Piece> {
  // For each open template: how many braces are open in the hole that is being read.
  const holes: number[] = []
  let from = 0
  let at = 0
  while (at < source.length) {
    NOTEWORTHY.lastIndex = at
    at = NOTEWORTHY.exec(source)?.index ?? source.length
    const inside = insideAt(source, at, holes)
    if (inside === undefined) {
      at += 1
      continue
    }
    yield { kind: 'code', from, to: inside.from }
    yield inside
    from = inside.to
    at = inside.to
    if (inside.opensHole) {
      holes.push(0)
      at += 2
    } else if (inside.kind === 'text') at += 1
  }
  yield { kind: 'code', from, to: source.length }
}

/** The comment or text that begins at this position, if one does. */
function insideAt(
  source: string,
  at: number,
  holes: number[],
): (Piece & { opensHole?: boolean }) | undefined {
  const char = source[at]
  const hole = holes.length - 1
  if (char === '{' && hole >= 0) holes[hole] = (holes[hole] ?? 0) + 1
  if (char === '}' && hole >= 0) {
    if (holes[hole] === 0) {
      holes.pop()
      return template(source, at + 1)
    }
    holes[hole] = (holes[hole] ?? 0) - 1
  }
  if (source.startsWith('//', at)) return { kind: 'comment', from: at, to: endOf(source, '\n', at) }
  if (source.startsWith('/*', at)) return { kind: 'comment', from: at, to: endOf(source, '*/', at) + 2 }
  if (char === "'" || char === '"') return { kind: 'text', from: at + 1, to: quoteEnd(source, at + 1, char) }
  if (char === '`') return template(source, at + 1)
  if (char === '/' && beginsRegExp(source, at))
    return { kind: 'text', from: at + 1, to: regExpEnd(source, at + 1) }
  return undefined
}

function template(source: string, from: number): Piece & { opensHole: boolean } {
  let to = from
  while (to < source.length && source[to] !== '`' && !source.startsWith('${', to))
    to += source[to] === '\\' ? 2 : 1
  return { kind: 'text', from, to, opensHole: source[to] === '$' }
}

function quoteEnd(source: string, from: number, quote: string): number {
  let to = from
  while (to < source.length && source[to] !== quote) to += source[to] === '\\' ? 2 : 1
  return to
}

function regExpEnd(source: string, from: number): number {
  let to = from
  for (let inClass = false; to < source.length && (inClass || source[to] !== '/'); to++) {
    if (source[to] === '\\') to += 1
    else if (source[to] === '[') inClass = true
    else if (source[to] === ']') inClass = false
  }
  return to
}

/** A slash divides after a value, and begins a regular expression after anything else. */
function beginsRegExp(source: string, at: number): boolean {
  const before = source.slice(Math.max(0, at - 80), at).trimEnd()
  return /(^|[=(,:;!&|?{}[+\-*~^<>%]|\b(return|typeof|case|in|of|void|yield|await))$/.test(before)
}

function endOf(source: string, end: string, from: number): number {
  const at = source.indexOf(end, from + 1)
  return at < 0 ? source.length : at
}
