import { lineAt } from './source-text.ts'

export interface Ban {
  readonly pattern: RegExp
  /** What it refuses, for the tests of this table. */
  readonly example: string
  readonly instead: string
}

/** Refused in the sources of pure packages: everything that would differ in the next run with the same seed. */
export const IMPURE: readonly Ban[] = [
  {
    pattern: /\bDate\.now\b/,
    example: 'const now = Date.now()',
    instead: 'clock.wallMs(), or clock.monotonicMs() for durations',
  },
  { pattern: /\bnew Date\b/, example: 'new Date()', instead: 'clock.wallMs(), as a number' },
  {
    pattern: /\bMath\.random\b/,
    example: 'Math.random()',
    instead: 'random.below(limit) or random.bytes(length)',
  },
  { pattern: /(?<![.\w])performance\./, example: 'performance.now()', instead: 'clock.monotonicMs()' },
  {
    pattern: /\.localeCompare\b|\.toLocale[A-Z]/,
    example: 'a.localeCompare(b)',
    instead: 'a < b ? -1 : 1, or compareBytes',
  },
  {
    pattern: /\bIntl\b/,
    example: 'new Intl.NumberFormat()',
    instead: 'plain numbers; the edge makes them readable',
  },
  {
    pattern: /\bWeakRef\b|\bFinalizationRegistry\b/,
    example: 'new WeakRef(value)',
    instead: 'an explicit close() or a map with a maximum',
  },
  {
    pattern: /\b(set|clear)(Timeout|Interval|Immediate)\b/,
    example: 'setTimeout(fire, 5)',
    instead: 'clock.timer(delayMs, fire) or clock.sleep(delayMs)',
  },
  {
    pattern: /\bAbortSignal\.(timeout|any)\b/,
    example: 'AbortSignal.timeout(5)',
    instead: 'an AbortController and clock.timer',
  },
  {
    pattern: /\bstructuredClone\b/,
    example: 'structuredClone(record)',
    instead: 'readonly values, which need no copy',
  },
  {
    pattern: /\bcrypto\b\./,
    example: 'crypto.subtle.digest()',
    instead: 'digest.sha1, digest.crc32 or digest.stream',
  },
  { pattern: /(?<![.\w])process\./, example: 'process.env', instead: 'an option' },
  {
    pattern: /\bBuffer\b/,
    example: 'Buffer.from(text)',
    instead: 'Uint8Array, utf8, toHex and concatBytes of core',
  },
  { pattern: /(?<![.\w])console\./, example: 'console.log(text)', instead: 'log.info(fields, message)' },
]

/** Refused in all sources. */
export const UNSAFE: readonly Ban[] = [
  { pattern: /\bas\s+any\b|<any>/, example: 'value as any', instead: 'unknown, and a check' },
  { pattern: /:\s*any\b/, example: 'function f(value: any) {}', instead: 'unknown, and a check' },
  {
    pattern: /\bas\s+unknown\s+as\b/,
    example: 'value as unknown as Ring',
    instead: 'a check that the compiler follows',
  },
]

/** Refused in the sources of packages: what Node's modules give is not made by the classes of a context of `node:vm`. */
export const ONE_REALM: readonly Ban[] = [
  {
    pattern: /\binstanceof (\w*Error|DOMException)\b(?<!\b(Atoll|World)Error)/,
    example: 'if (error instanceof TypeError) return',
    instead: 'isError of core, which knows errors of every realm, and name or codeOf(error)',
  },
  {
    pattern: /\binstanceof (Uint8Array|Buffer)\b/,
    example: 'if (value instanceof Uint8Array) return',
    instead: 'isBytes of core, which knows bytes of every realm',
  },
]

/** Refused in the text of sources outside of core: an error about an argument that programs cannot tell from a bug. */
export const NAMELESS: readonly Ban[] = [
  {
    pattern: /new (Type|Range)Error\(\s*[`'"][^`'"]*\b(must|has no option)\b/,
    example: "throw new TypeError('n must be a number')",
    instead: "core's checks, or wrongType and wrongRange",
  },
]

/** Refused anywhere in the text of all sources, comments included. */
export const UNFINISHED: readonly Ban[] = [
  { pattern: /@ts-(ignore|expect-error|nocheck)/, example: '// @ts-ignore', instead: 'a type that is true' },
  {
    pattern: /\b(TODO|FIXME|XXX|HACK)\b/,
    example: '// TODO: later',
    instead: 'an issue, or the thing itself',
  },
]

/** Where the text has what is banned, with what to use instead. */
export function offences(path: string, text: string, bans: readonly Ban[]): string[] {
  return bans.flatMap(({ pattern, instead }) =>
    [...text.matchAll(new RegExp(pattern, 'g'))].map(
      (match) => `${path}:${lineAt(text, match.index)} has "${match[0]}": use ${instead}`,
    ),
  )
}
