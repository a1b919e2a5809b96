// Packs the packages into a folder, and writes beside them what pnpm needs to find them there: `npm run pack -- FOLDER`.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../../../..')

/** The tarballs, by the names of their packages. */
export function packInto(folder) {
  mkdirSync(folder, { recursive: true })
  const which = ['--filter-prod', '@atoll/store...', '--filter-prod', '@atoll/sim...']
  const args = ['--yes', 'pnpm@10.34.8', '-r', ...which, 'pack', '--pack-destination', folder]
  execFileSync('npx', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const tarballs = readdirSync(folder)
    .filter((file) => /^atoll-.*\.tgz$/.test(file))
    .map((file) => ({
      name: file.replace(/^atoll-(.*)-[\d.]+\.tgz$/, '@atoll/$1'),
      path: join(folder, file),
    }))
  writeFileSync(join(folder, 'pnpm-workspace.yaml'), workspaceOf(tarballs))
  return tarballs
}

/** pnpm looks for what a tarball depends on at the registry, unless it is told where that is. */
function workspaceOf(tarballs) {
  return `overrides:\n${tarballs.map(({ name, path }) => `  "${name}": "file:${path}"\n`).join('')}`
}

if (process.argv[1] === import.meta.filename) {
  const [named] = process.argv.slice(2)
  if (named === undefined) {
    process.stderr.write('name a folder for the tarballs: npm run pack -- FOLDER\n')
    process.exit(1)
  }
  // npm runs this in the checkout, wherever it was called.
  const folder = resolve(process.env.INIT_CWD ?? '.', named)
  const tarballs = packInto(folder)
  const store = tarballs.find(({ name }) => name === '@atoll/store').path
  process.stdout.write(`${tarballs.length} packages are in ${folder}. In the folder of your program run
  npm install ${join(folder, '*.tgz')}
or, with pnpm,
  cp ${join(folder, 'pnpm-workspace.yaml')} . && pnpm add ${store}
`)
}
