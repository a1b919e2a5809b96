import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Compiled, compile } from '../../transport-tcp/test/compiled.ts'
import type { Started } from './processes/starter.ts'

const CHILD = 'test/processes/starter.ts'
const ROUNDS = 3
const STARTERS = 4
const LONG_MS = 300_000
/** A process of its own world of process ids, in which it is number 1, as in a container. */
const CONTAINER = ['unshare', '--pid', '--fork', '--kill-child']

const work = mkdtempSync(join(tmpdir(), 'atoll-starters-'))
let compiled: Compiled
beforeAll(() => {
  compiled = compile('packages/store', ['src/index.ts', CHILD])
}, LONG_MS)
afterAll(() => {
  compiled.remove()
  rmSync(work, { recursive: true, force: true })
})

test(
  'of processes that start at one time on one directory, one has it, whatever a dead one left behind',
  async () => {
    const path = join(work, 'plain')
    for (let round = 0; round < ROUNDS; round++) await race(path, [process.execPath])
  },
  LONG_MS,
)

test.skipIf(!containersWork())(
  'so it is with containers, where every process has the number 1',
  async () => {
    const path = join(work, 'contained')
    for (let round = 0; round < ROUNDS; round++) await race(path, [...CONTAINER, process.execPath])
  },
  LONG_MS,
)

/** All start at one time; the one that has the directory keeps it, is killed in the end, and leaves a stale lock. */
async function race(path: string, [command = '', ...args]: readonly string[]): Promise<void> {
  mkdirSync(join(path, 'log'), { recursive: true })
  writeFileSync(join(path, 'log', 'LOCK'), '{"pid":1,"started":"1","token":"of one that died"}')
  const program = compiled.path(CHILD)
  const starters = Array.from({ length: STARTERS }, () =>
    fork(program, [path], {
      execPath: command,
      execArgv: args,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    }),
  )
  try {
    await Promise.all(starters.map((starter) => once(starter, 'message')))
    const outcomes = await Promise.all(starters.map(start))
    const codes = outcomes.map(({ code }) => code).sort()
    expect(codes).toEqual([...Array.from({ length: STARTERS - 1 }, () => 'ATOLL_LOCKED'), 'open'])
    // Those who are refused once more take nothing from the one that has it.
    const losers = starters.filter((_, at) => outcomes[at]?.code !== 'open')
    const before = namesIn(path)
    const again = await Promise.all(losers.map(start))
    expect(again.map(({ code }) => code)).toEqual(losers.map(() => 'ATOLL_LOCKED'))
    expect(namesIn(path)).toEqual(before)
    expect(before).not.toContain(join('log', 'LOCK'))
  } finally {
    await Promise.all(starters.map(kill))
  }
}

function namesIn(path: string): readonly string[] {
  return readdirSync(path, { recursive: true }).map(String).sort()
}

async function start(starter: ChildProcess): Promise<Started> {
  const told = once(starter, 'message')
  starter.send('start')
  const [started] = await told
  return started
}

async function kill(starter: ChildProcess): Promise<void> {
  const gone = once(starter, 'exit')
  starter.kill('SIGKILL')
  await gone
}

function containersWork(): boolean {
  try {
    const [command = '', ...args] = CONTAINER
    execFileSync(command, [...args, 'true'], { stdio: 'ignore' })
    return true
  } catch {
    process.stdout.write('containers are not tried: unshare needs rights that this process does not have\n')
    return false
  }
}
