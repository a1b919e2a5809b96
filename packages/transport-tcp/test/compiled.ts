import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../../..')

/**
 * A process of its own needs JavaScript, and tests run without a build: so the packages are compiled into a folder that looks
 * as the repository does. Each package must have its own folder in `packages`, in the order of imports or any other.
 */
export function compilePackages(packages: readonly string[], files: readonly string[]): Compiled {
  const work = mkdtempSync(join(tmpdir(), 'atoll-compiled-'))
  const compilerOptions = {
    rootDir: root,
    outDir: work,
    composite: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    customConditions: ['@atoll/source'],
    // Types are checked elsewhere.
    noCheck: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  }
  const config = { extends: join(root, 'tsconfig.base.json'), compilerOptions }
  writeFileSync(
    join(work, 'tsconfig.json'),
    JSON.stringify({ ...config, files: files.map((file) => join(root, file)) }),
  )
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(work, 'tsconfig.json')])
  symlinkSync(join(root, 'node_modules'), join(work, 'node_modules'))
  for (const path of packages) {
    mkdirSync(join(work, path), { recursive: true })
    for (const part of ['package.json', 'node_modules'])
      cpSync(join(root, path, part), join(work, path, part), { recursive: true, verbatimSymlinks: true })
    symlinkSync('src', join(work, path, 'dist'))
  }
  return {
    path: (file) => join(work, file.replace(/\.ts$/, '.js')),
    remove: () => rmSync(work, { recursive: true, force: true }),
  }
}

export interface Compiled {
  /** Where the compiled form of a file is, by its path from the root of the repository. */
  path(file: string): string
  remove(): void
}
