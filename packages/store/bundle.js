// Makes one module of each public package, in the place of the `dist/index.js` that the compiler has written: whoever
// imports Atoll waits for twenty files, not for hundreds. `npm run compile` does this behind the compiler.
import { readdirSync, readFileSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { rolldown } from 'rolldown'

const PACKAGES = resolve(import.meta.dirname, '..')

async function bundle(folder) {
  const made = await rolldown({
    input: join(folder, 'src/index.ts'),
    platform: 'neutral',
    // Everything that another package has stays there, so that all programs share it.
    external: (id) => !id.startsWith('.') && !isAbsolute(id),
    treeshake: false,
  })
  await made.write({ file: join(folder, 'dist/index.js'), format: 'esm', sourcemap: true })
  await made.close()
}

const folders = readdirSync(PACKAGES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => join(PACKAGES, name))
const isPublic = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).private !== true

await Promise.all(folders.filter(isPublic).map(bundle))
