import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Compiled, compile } from '../../../packages/transport-tcp/test/compiled.ts'

let compiled: Compiled
let temporary: string
const started: ChildProcess[] = []

beforeAll(() => {
  compiled = compile('examples/04-tcp-cluster', ['src/main.ts', 'src/node.ts'])
  temporary = mkdtempSync(join(tmpdir(), 'atoll-story-'))
})

afterAll(() => {
  for (const story of started) story.kill('SIGKILL')
  compiled.remove()
  rmSync(temporary, { recursive: true, force: true })
})

/** The example as a process, and what it says. */
function tell() {
  const story = spawn(process.execPath, [compiled.path('src/main.ts')], {
    env: { PATH: process.env['PATH'], TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(story)
  const said = { out: '', err: '' }
  story.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  story.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text
  })
  return { story, said, ended: once(story, 'close') }
}

/** The processes of the nodes that a story told of, killed ones included. */
function nodesOf(out: string): number[] {
  return [...out.matchAll(/^ {2}n\d is process (\d+)/gm)].map(([, pid]) => Number(pid))
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function expectNothingLeft(out: string): Promise<void> {
  while (nodesOf(out).some(isRunning)) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(readdirSync(temporary)).toEqual([])
}

test('five processes join, lose one, get it back whole, and let one go', async () => {
  const { said, ended } = tell()
  const [code] = await ended
  expect([code, said.err]).toEqual([0, ''])
  expect(nodesOf(said.out)).toHaveLength(6)
  expect(said.out).toMatch(/join n2.*replicas of partitions move/)
  expect(said.out.match(/5000000 bytes with the same SHA-256/g)).toHaveLength(3)
  expect(said.out).toMatch(/n3 +valid +down/)
  expect(said.out).toMatch(/n5 leave[\s\S]*n5 is no member any more/)
  await expectNothingLeft(said.out)
}, 300_000)

test('a story that is interrupted leaves no process and no file behind', async () => {
  const { story, said, ended } = tell()
  while (!said.out.includes('n1 is process')) await once(story.stdout, 'data')
  story.kill('SIGTERM')
  const [code] = await ended
  expect(code).toBe(1)
  expect(nodesOf(said.out).length).toBeGreaterThan(0)
  await expectNothingLeft(said.out)
})
