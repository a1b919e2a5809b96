import { expect, test } from 'vitest'
import { cli } from '../src/cli.ts'

/** A clock that has gone on by so much whenever it is looked at. */
function clockOf(stepMs: number): () => number {
  let ms = 0
  return () => (ms += stepMs)
}

async function run(...args: string[]) {
  let [out, err] = ['', '']
  const desk = {
    out: { write: (text: string) => (out += text) },
    err: { write: (text: string) => (err += text) },
    nowMs: clockOf(1),
  }
  const code = await cli(args, desk)
  return { code, out, err }
}

test.each([
  ['--seeds', '0', '--seeds must be an integer from 1 to 1000000000, got 0'],
  ['--seeds', 'many', '--seeds must be a number, got "many"'],
  ['--from', '1.5', '--from must be a number, got "1.5"'],
  ['--bug', 'ladybird', 'there is no bug "ladybird": it may be drop-read-repair, ack-before-write,'],
  ['--bug', 'toString', 'there is no bug "toString"'],
  ['--with', 'freeze,thaw', 'there is no fault or change "thaw": it may be partition, weather,'],
  ['--sed', '1', "Unknown option '--sed'; usage: npm run sim -- "],
])('%s %s is refused in one line', async (name, value, line) => {
  const { code, out, err } = await run(name, value)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err.startsWith(line), err).toBe(true)
  expect(err.match(/\n/g)).toHaveLength(1)
})

test('a swarm in which all is well', async () => {
  const { code, out, err } = await run('--seeds', '2', '--from', '3')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^seeds 3 to 4: \d+ events, .* seeds\/s, \d+ ms each\n/)
  expect(out).toMatch(/^ +\d+ × client\.put ok$/m)
  expect(out).toMatch(/\nevery promise was kept\n$/)
})

test('a swarm with a bug says what is wrong, and how to see it again', async () => {
  const { code, out } = await run('--seeds', '10', '--bug', 'forget-sibling')
  expect(code).toBe(1)
  expect(out).toMatch(/^options \{"theme":"none","nodes":\d/m)
  expect(out).toMatch(/^broken promises: \d+\n {2}lost-element s\d\S*: (?:c\d|after) add/m)
  expect(out).toMatch(/ after add s1\S* = after\.n1 /m)
  const [, args = ''] = /^to see it again: npm run sim -- (.*) \(commit .+\)$/m.exec(out) ?? []
  const [, hash] = /\(trace ([0-9a-f]{32})\)/.exec(out) ?? []
  const again = await run(...args.split(' '), '--json')
  const { runs, failures } = JSON.parse(again.out)
  expect({ code: again.code, runs, hash: failures[0].traceHash }).toEqual({ code: 1, runs: 1, hash })
  expect(failures[0].replay).toBe(`npm run sim -- ${args}`)
})

test('progress goes to the terminal, and is wiped', async () => {
  let err = ''
  const terminal = { isTTY: true, write: (text: string) => (err += text) }
  await cli(['--seeds', '2'], { out: { write: () => {} }, err: terminal, nowMs: clockOf(1000) })
  expect(err).toMatch(/\r1\/2 seeds, \d+\.\d seeds\/s/)
  expect(err).toMatch(/\r +\r$/)
})
