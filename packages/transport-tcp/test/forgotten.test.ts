import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type TcpFactoryOptions, tcp } from '@atoll/transport-tcp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority } from './authority.ts'
import { type Compiled, compile } from './compiled.ts'
import type { Errand, Told } from './forgetful.ts'
import { createTalker } from './talk.ts'
import { SECRET } from './world.ts'

const PROGRAM = 'test/forgetful.ts'
const LONG_MS = 300_000

let compiled: Compiled
let authority: Authority
beforeAll(async () => {
  authority = await Authority.create('the reef')
  compiled = compile('packages/transport-tcp', ['src/index.ts', PROGRAM])
}, LONG_MS)
afterAll(() => compiled.remove())

const ways: [string, (node: string) => Promise<Partial<TcpFactoryOptions>>][] = [
  ['TCP', async () => ({ secret: SECRET })],
  ['TLS', async (node) => ({ tls: await authority.issue(node) })],
]

/** Runs the program, which calls a node of this process, until it ends by itself. */
async function run(
  secure: (node: string) => Promise<Partial<TcpFactoryOptions>>,
  more: Partial<TcpFactoryOptions>,
) {
  const optionsOf = async (node: string) => ({
    cluster: 'reef',
    listen: '127.0.0.1:0',
    ...(await secure(node)),
  })
  const { endpoint } = createTalker('n1', tcp(await optionsOf('n1')), () => 'nowhere:1')
  await endpoint.open()
  const errand: Errand = { address: endpoint.address, options: { ...(await optionsOf('n2')), ...more } }
  const args = [compiled.path(PROGRAM), JSON.stringify(errand)]
  // Ended by force after a while: then this rejects.
  const running = promisify(execFile)(process.execPath, args, { timeout: 150_000 })
  try {
    const { stdout } = await running
    const told: Told = JSON.parse(stdout)
    return told
  } finally {
    await endpoint.close()
  }
}

test('a node that listens holds its process as any server does, unless it is told otherwise', async () => {
  const held = async (more: Partial<TcpFactoryOptions>) => {
    const factory = tcp({ cluster: 'reef', secret: SECRET, listen: '127.0.0.1:0', ...more })
    const before = listeners()
    const { endpoint } = createTalker('n1', factory, () => 'nowhere:1')
    await endpoint.open()
    const after = listeners()
    await endpoint.close()
    return after - before
  }
  expect([await held({}), await held({ holdProcess: true }), await held({ holdProcess: false })]).toEqual([
    1, 1, 0,
  ])
})

/** Those that keep this process alive. */
function listeners(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length
}

test.each(ways)(
  'a node over %s that nobody closes does not keep its process alive, if that is wanted',
  async (_, secure) => {
    // What is awaited keeps it alive all the same.
    expect(await run(secure, { holdProcess: false })).toEqual({ answer: 'well', copied: 1000, held: [] })
  },
  LONG_MS,
)
