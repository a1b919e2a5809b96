import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Compiled, compile } from '../../transport-tcp/test/compiled.ts'
import { NodeProcess } from './processes/node-process.ts'
import { freeAddresses, until } from './story/machines.ts'

const CHILD = 'test/processes/child.ts'
const NAMES = ['n1', 'n2', 'n3']
const KEYS = ['coral', 'urchin', 'crab', 'eel', 'ray']
const BODY = { seed: 7, bytes: 20_000 }
const LONG_MS = 300_000

const work = mkdtempSync(join(tmpdir(), 'atoll-who-is-who-'))
let compiled: Compiled
beforeAll(() => {
  compiled = compile('packages/store', ['src/index.ts', CHILD])
}, LONG_MS)
afterAll(() => {
  compiled.remove()
  rmSync(work, { recursive: true, force: true })
})

/** As a system starts services: all at one time, each with the same options but for its name. */
async function startAll(addresses: readonly string[]): Promise<readonly NodeProcess[]> {
  const secret = 'a secret of thirty-two characters'
  const nodes = NAMES.map((name, at) => {
    const transport = { cluster: 'reef', listen: addresses[at] ?? '', secret }
    const path = join(work, name)
    return new NodeProcess(compiled.path(CHILD), { name, path, transport, seeds: addresses, begin: 'n1' })
  })
  await Promise.all(nodes.map(({ opened }) => opened))
  return nodes
}

async function areTogether(nodes: readonly NodeProcess[]): Promise<boolean> {
  const seen = await Promise.all(nodes.map((node) => node.ask('up')))
  return seen.every((up) => up.length === NAMES.length)
}

test(
  'processes that start at one time are one cluster, also after all were killed and came back elsewhere',
  async () => {
    let nodes = await startAll(await freeAddresses(NAMES.length))
    try {
      await until('they are together', () => areTogether(nodes))
      await nodes[1]?.ask('commit')
      const isSettled = async () => (await nodes[1]?.ask('layout'))?.pendingMoves === 0
      await until('nothing is left to move', isSettled)
      await nodes[0]?.ask('createBucket')
      for (const key of KEYS) await nodes[2]?.ask('put', key, BODY)
      const [expected] = await Promise.all(KEYS.map((key) => nodes[0]?.ask('get', key)))
      for (let round = 0; round < 2; round++) {
        await Promise.all(nodes.map((node) => node.kill()))
        nodes = await startAll(await freeAddresses(NAMES.length))
        await until('they are together', () => areTogether(nodes))
        for (const node of nodes) {
          const read = () => Promise.all(KEYS.map((key) => node.ask('get', key)))
          await until(`${node.name} answers`, () =>
            read().then(
              () => true,
              () => false,
            ),
          )
          expect(await read()).toEqual(KEYS.map(() => expected))
        }
      }
    } finally {
      await Promise.all(nodes.map((node) => node.kill()))
    }
  },
  LONG_MS,
)
