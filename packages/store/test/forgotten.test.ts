import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Compiled, compile } from '../../transport-tcp/test/compiled.ts'
import type { Printed } from './processes/forgetful.ts'

const PROGRAM = 'test/processes/forgetful.ts'
const LONG_MS = 300_000

const work = mkdtempSync(join(tmpdir(), 'atoll-forgotten-'))
let compiled: Compiled
beforeAll(() => {
  compiled = compile('packages/store', ['src/index.ts', PROGRAM])
}, LONG_MS)
afterAll(() => {
  compiled.remove()
  rmSync(work, { recursive: true, force: true })
})

test.each([
  ['nodes in memory', 'memory'],
  ['nodes on TCP that need not hold it', 'tcp'],
  ['a node alone on a directory', join(work, 'data')],
])('%s that nobody closes do not keep their process alive', { timeout: LONG_MS }, async (_, place) => {
  const run = promisify(execFile)
  // Ended by force after a while: then this rejects.
  const { stdout } = await run(process.execPath, [compiled.path(PROGRAM), place], { timeout: 150_000 })
  const printed: Printed = '3000000\n'
  expect(stdout).toBe(printed)
})
