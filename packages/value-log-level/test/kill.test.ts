import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openAt } from './disk-place.ts'
import { writeForEver } from './kill-writer.ts'
import { drawFrom } from './sim-disk.ts'
import { contents, countOf, drawWrite, modelAfter, type Write } from './workload.ts'

/** A release is tested with 100: `ATOLL_KILL_ROUNDS=100`. */
const ROUNDS = Number(process.env['ATOLL_KILL_ROUNDS'] ?? 12)

/** What is durable in each round at least, before the process is killed. */
const LEAST_WRITES = 11

const packages = resolve(import.meta.dirname, '../..')
const work = mkdtempSync(join(tmpdir(), 'atoll-kill-'))
const place = join(work, 'place')

/** A process of its own needs JavaScript, and tests run without a build: so what it imports is compiled here. */
beforeAll(() => {
  const out = join(work, 'packages')
  const config = {
    extends: join(packages, '../tsconfig.base.json'),
    compilerOptions: {
      rootDir: packages,
      outDir: out,
      composite: false,
      declaration: false,
      declarationMap: false,
      sourceMap: false,
      customConditions: ['@atoll/source'],
      // Types are checked elsewhere.
      noCheck: true,
      types: ['node'],
      typeRoots: [join(packages, '../node_modules/@types')],
    },
    files: ['value-log-level/test/kill-writer.ts', 'core/src/index.ts'].map((file) => join(packages, file)),
  }
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(config))
  execFileSync(join(packages, '../node_modules/.bin/tsc'), ['-p', join(work, 'tsconfig.json')])
  writeFileSync(join(out, 'package.json'), JSON.stringify({ type: 'module' }))
  const modules = join(out, 'node_modules')
  mkdirSync(join(modules, '@atoll/core'), { recursive: true })
  const core = { type: 'module', exports: '../../../core/src/index.js' }
  writeFileSync(join(modules, '@atoll/core/package.json'), JSON.stringify({ ...core, exports: './index.js' }))
  writeFileSync(join(modules, '@atoll/core/index.js'), `export * from '${core.exports}'\n`)
  for (const [from, name] of [
    ['value-log-level', 'abstract-level'],
    ['value-log-level', 'classic-level'],
    ['value-log-level', 'memory-level'],
    ['core', 'msgpackr'],
  ]) {
    symlinkSync(
      realpathSync(join(packages, from ?? '', 'node_modules', name ?? '')),
      join(modules, name ?? ''),
    )
  }
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

/** Lets a process write, kills it in the middle, and returns the last batch that it called durable. */
async function writeAndKill(delayMs: number): Promise<number> {
  const script = join(work, 'packages/value-log-level/test/kill-writer.js')
  const main = `import { ${writeForEver.name} as main } from '${script}'; await main('${place}')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', main], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let told = ''
  let isDying = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text
    // Some have been written by then, however slow the machine is.
    if (isDying || told.split('\n').length <= LEAST_WRITES) return
    isDying = true
    setTimeout(() => child.kill('SIGKILL'), delayMs)
  })
  const [code, signal] = await new Promise<[number | null, string | null]>((done) => {
    child.on('close', (...ended) => done(ended))
  })
  expect([code, signal]).toEqual([null, 'SIGKILL'])
  const whole = told.slice(0, told.lastIndexOf('\n')).split('\n')
  return Math.max(...whole.map(Number))
}

test(`a process that is killed ${ROUNDS} times in mid-write loses nothing it called durable`, async () => {
  const draw = drawFrom(ROUNDS)
  const writes: Write[] = []
  let count = 0
  for (let round = 0; round < ROUNDS; round++) {
    const acknowledged = await writeAndKill(20 + draw(200))
    const db = openAt(place)
    const held = await contents(db)
    await db.close()
    expect(countOf(held)).toBeGreaterThan(Math.max(acknowledged, count - 1))
    count = countOf(held)
    while (writes.length < count) writes.push(drawWrite(writes.length, drawFrom(writes.length)))
    expect(held).toEqual(modelAfter(writes, count))
  }
  expect(count).toBeGreaterThanOrEqual(LEAST_WRITES * ROUNDS)
}, 300_000)
