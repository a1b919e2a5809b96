import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { importsOf, withoutTexts } from './source-text.ts'

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

export interface SourceFile {
  /** From the root of the repository, with slashes. */
  readonly path: string
  readonly text: string
  /** The text with comments and the contents of strings blanked out: same length, same lines. */
  readonly code: string
  /** What it imports, as written. */
  readonly imports: readonly string[]
}

export interface Manifest {
  readonly name: string
  readonly version?: string
  readonly private?: boolean
  readonly description?: string
  readonly license?: string
  readonly type?: string
  readonly engines?: { readonly node?: string }
  readonly exports?: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly files?: readonly string[]
  readonly scripts?: Readonly<Record<string, string>>
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

export interface TsConfig {
  readonly extends?: string
  readonly compilerOptions?: {
    readonly rootDir?: string
    readonly outDir?: string
    readonly types?: readonly string[]
    readonly paths?: Readonly<Record<string, readonly string[]>>
  }
  readonly include?: readonly string[]
  readonly references?: readonly { readonly path: string }[]
}

/** A folder of `packages` or `examples`. */
export interface Package {
  /** Without the scope: `core`, `example-00-tour`. */
  readonly name: string
  /** From the root: `packages/core`. */
  readonly path: string
  readonly manifest: Manifest
  /** Undefined for `tidy`, which has no sources. */
  readonly tsconfig: TsConfig | undefined
  readonly sources: readonly SourceFile[]
  readonly tests: readonly SourceFile[]
}

const IGNORED = new Set(['.git', 'node_modules', 'dist', 'coverage', 'bench-results'])

/** Every file below a folder of the repository but what git ignores, as paths from the root. */
export function filesBelow(folder: string): string[] {
  const whole = join(ROOT, folder)
  if (!existsSync(whole)) return []
  return readdirSync(whole, { withFileTypes: true })
    .filter(({ name }) => !IGNORED.has(name) && !/\.(tsbuildinfo|log)$/.test(name))
    .flatMap((entry) => {
      const path = relative(ROOT, join(whole, entry.name)).replaceAll('\\', '/')
      return entry.isDirectory() ? filesBelow(path) : [path]
    })
    .sort()
}

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

export function exists(path: string): boolean {
  return existsSync(join(ROOT, path))
}

/** The folders that must each be a package. */
export function packageFolders(): string[] {
  return ['packages', 'examples'].flatMap((group) =>
    exists(group) ? readdirSync(join(ROOT, group)).map((name) => `${group}/${name}`) : [],
  )
}

function loadPackage(path: string): Package {
  const manifest: Manifest = JSON.parse(read(`${path}/package.json`))
  const tsconfig: TsConfig | undefined = exists(`${path}/tsconfig.json`)
    ? JSON.parse(read(`${path}/tsconfig.json`))
    : undefined
  return {
    name: manifest.name.replace('@atoll/', ''),
    path,
    manifest,
    tsconfig,
    sources: loadSources(`${path}/src`),
    tests: loadSources(`${path}/test`),
  }
}

function loadSources(folder: string): SourceFile[] {
  return filesBelow(folder)
    .filter((path) => path.endsWith('.ts'))
    .map((path) => {
      const text = read(path)
      return { path, text, code: withoutTexts(text), imports: importsOf(text) }
    })
}

export const packages: readonly Package[] = packageFolders()
  .filter((path) => exists(`${path}/package.json`))
  .map(loadPackage)
