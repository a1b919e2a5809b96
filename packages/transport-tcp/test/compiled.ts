import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../../..')

export interface Compiled {
  /** Where the compiled form of a file is, by its path from the root of the repository. */
  path(file: string): string
  remove(): void
}

/**
 * A process of its own needs JavaScript, and tests run without a build: so files of a package, and all packages that it
 * depends on, are compiled into a folder that looks as the repository does.
 */
export function compile(folder: string, files: readonly string[]): Compiled {
  const work = mkdtempSync(join(tmpdir(), 'atoll-compiled-'))
  const folders = [...withDependencies(folder)]
  const doors = folders.filter((one) => one !== folder).map((one) => `${one}/src/index.ts`)
  const config = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: {
      rootDir: root,
      outDir: work,
      composite: false,
      declaration: false,
      declarationMap: false,
      sourceMap: false,
      // Not by way of node_modules: files that the compiler meets there first are sometimes taken for foreign, and left out.
      paths: { '@atoll/*': [join(root, 'packages/*/src/index.ts')] },
      // Types are checked elsewhere.
      noCheck: true,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    },
    files: [...doors, ...files.map((file) => `${folder}/${file}`)].map((file) => join(root, file)),
  }
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(config))
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(work, 'tsconfig.json')])
  symlinkSync(join(root, 'node_modules'), join(work, 'node_modules'))
  for (const one of folders) {
    mkdirSync(join(work, one), { recursive: true })
    for (const part of ['package.json', 'node_modules'])
      cpSync(join(root, one, part), join(work, one, part), { recursive: true, verbatimSymlinks: true })
    symlinkSync('src', join(work, one, 'dist'))
  }
  return {
    path: (file) => join(work, folder, file.replace(/\.ts$/, '.js')),
    remove: () => rmSync(work, { recursive: true, force: true }),
  }
}

/** The folders of a package and of all that it depends on in this repository. */
function withDependencies(folder: string, known = new Set<string>()): ReadonlySet<string> {
  if (known.has(folder)) return known
  known.add(folder)
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies))
    if (name.startsWith('@atoll/')) withDependencies(name.replace('@atoll/', 'packages/'), known)
  return known
}
