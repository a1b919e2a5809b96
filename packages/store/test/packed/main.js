// Packs the packages, installs them by npm and by pnpm in empty folders, compiles a strict program with declarations against
// them, and runs every JavaScript program of the README. Takes a minute, and the package registry: `npm run packed`. The
// programs run on the Node.js that runs this, or on another one: `npm run packed -- --node 20.19.0`.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packInto } from './pack.js'

const ROOT = resolve(import.meta.dirname, '../../../..')
const PNPM = ['--yes', 'pnpm@10.34.8']
const work = mkdtempSync(join(tmpdir(), 'atoll-packed-'))

function run(command, args, cwd) {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')} failed in ${cwd}:\n${error.stdout}\n${error.stderr}`)
  }
}

function installByNpm(tarballs) {
  const folder = join(work, 'npm')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }')
  run(
    'npm',
    ['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs.map(({ path }) => path)],
    folder,
  )
  return folder
}

function installByPnpm(tarballs) {
  const folder = join(work, 'pnpm')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }')
  copyFileSync(join(work, 'tarballs', 'pnpm-workspace.yaml'), join(folder, 'pnpm-workspace.yaml'))
  const store = tarballs.find(({ name }) => name === '@atoll/store')
  run('npx', [...PNPM, 'add', '--prefer-offline', '--ignore-scripts', store.path], folder)
  return folder
}

/** The Node.js that programs run on: this one, or the one of the version behind `--node`, from its npm package. */
function nodeToRun() {
  const { node: version } = parseArgs({ options: { node: { type: 'string' } } }).values
  if (version === undefined) return process.execPath
  const system = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${system}-${process.arch}`
  const folder = join(work, 'node')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `${name}@${version}`], folder)
  return join(folder, 'node_modules', name, 'bin', system === 'win' ? 'node.exe' : 'node')
}

/** Every exported name is a type that a program can name, and every inferred type one that a declaration can write. */
function compile(folder) {
  const door = readFileSync(join(ROOT, 'packages/store/src/index.ts'), 'utf8')
  const names = [...door.matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, isType, list]) =>
    list
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => ({
        name: name.replace(/^type /, ''),
        isType: isType !== undefined || name.startsWith('type '),
      })),
  )
  writeFileSync(
    join(folder, 'names.ts'),
    `${names.map(({ name, isType }) => `export ${isType ? 'type ' : ''}{ ${name} } from '@atoll/store'`).join('\n')}\n`,
  )
  for (const name of ['program', 'using'])
    writeFileSync(join(folder, `${name}.ts`), readFileSync(join(import.meta.dirname, `${name}.mts`)))
  const options = {
    strict: true,
    declaration: true,
    noEmit: false,
    outDir: 'out',
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable', 'dom', 'dom.asynciterable'],
    module: 'nodenext',
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
  }
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, files: ['names.ts', 'program.ts', 'using.ts'] }),
  )
  run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder], folder)
  return names.length
}

/** Runs the programs of the README that end by themselves. */
function runPrograms(folder, node) {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const programs = [...readme.matchAll(/^```js\n([\s\S]*?)^```/gm)].map(([, code]) => code)
  for (const [at, code] of programs.entries()) {
    const file = join(folder, `program-${at}.mjs`)
    const isServer = code.includes('createServer')
    writeFileSync(
      file,
      isServer ? `${code}\nsetTimeout(() => process.kill(process.pid, 'SIGTERM'), 300)\n` : code,
    )
    run(node, [file], folder)
  }
  // The words `await using`, as the compiler writes them for a Node.js that does not know them.
  run(node, [join(folder, 'out', 'using.js')], folder)
  return programs.length + 1
}

try {
  const node = nodeToRun()
  const version = run(node, ['--version'], work).trim()
  const tarballs = packInto(join(work, 'tarballs'))
  for (const folder of [installByNpm(tarballs), installByPnpm(tarballs)]) {
    const [names, programs] = [compile(folder), runPrograms(folder, node)]
    process.stdout.write(`${folder}: ${names} names compile, ${programs} programs run on ${version}\n`)
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
