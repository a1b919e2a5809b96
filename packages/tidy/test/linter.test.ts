import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROOT, read } from './repository.ts'

/** A house of two packages under our settings: `two` imports `one`, as all of ours import each other. */
const HOUSE = {
  'biome.json': JSON.stringify({ ...JSON.parse(read('biome.json')), vcs: { enabled: false } }),
  'packages/one/package.json': read('packages/core/package.json').replaceAll('@atoll/core', '@atoll/one'),
  'packages/one/src/index.ts': `export { save } from './save.ts'\n`,
  'packages/one/src/save.ts': 'export async function save(): Promise<void> {}\n',
  'packages/two/package.json': read('packages/causality/package.json'),
  'packages/two/tsconfig.json': read('packages/causality/tsconfig.json'),
  'packages/two/src/index.ts': `import { save } from '@atoll/one'

export async function lose(): Promise<void> {
  save()
}

export async function loseTwo(): Promise<void> {
  lose()
}

export async function keep(): Promise<void> {
  await save()
}
`,
}

let house = ''

beforeAll(() => {
  house = mkdtempSync(join(tmpdir(), 'atoll-linter-'))
  for (const [path, text] of Object.entries(HOUSE)) {
    mkdirSync(join(house, dirname(path)), { recursive: true })
    writeFileSync(join(house, path), text)
  }
  cpSync(join(ROOT, 'tsconfig.base.json'), join(house, 'tsconfig.base.json'))
})

afterAll(() => {
  rmSync(house, { recursive: true, force: true })
})

describe('the linter', () => {
  it('finds promises that nobody waits for, those of other packages too: a lost promise is a lost write', () => {
    const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome')
    const args = [biome, 'lint', '--reporter=github', 'packages/two']
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: house, encoding: 'utf8' })
    const found = [...stdout.matchAll(/noFloatingPromises,file=\S*packages\/two\/src\/index\.ts,line=(\d+)/g)]
    expect(
      found.map((match) => Number(match[1])),
      stdout + stderr,
    ).toEqual([4, 8])
  })
})
