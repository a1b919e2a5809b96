import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../../transport-tcp/test/world.ts'
import * as store from '../src/index.ts'

const ROOT = join(import.meta.dirname, '../../..')
const before = process.cwd()
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'atoll-documents-'))
  process.chdir(folder)
})

afterAll(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true })
})

const blocksOf = (page: string, language: string) =>
  [
    ...readFileSync(join(ROOT, page), 'utf8').matchAll(
      new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'),
    ),
  ].map((match) => match[1] ?? '')

/** Runs a module as printed, but for its imports, which become those of this test, and answers what it prints. */
async function run(code: string, given: Readonly<Record<string, unknown>> = {}): Promise<string[]> {
  const lines: string[] = []
  const print = (...values: unknown[]) => void lines.push(values.map(String).join(' '))
  const load = (name: string): unknown => (name === '@atoll/store' ? store : import(name))
  const body = code.replace(/^import (\{[^}]*\}) from ('[^']+')$/gm, 'const $1 = await load($2)')
  const names = { console: { ...console, log: print }, load, ...given }
  const AsyncFunction = Object.getPrototypeOf(run).constructor
  await new AsyncFunction(...Object.keys(names), body)(...Object.values(names))
  return lines
}

describe('the programs of the README run as printed', () => {
  const programs = blocksOf('README.md', 'js')

  test.each(programs.filter((code) => !code.includes('createServer')).map((code, at) => [at, code]))(
    'program %i',
    async (_, code) => {
      expect((await run(String(code))).length).toBeGreaterThan(0)
    },
  )

  test('the HTTP service answers what was put, and ends on a signal', async () => {
    const service = programs.find((code) => code.includes('createServer')) ?? ''
    const ends: (() => void)[] = []
    const servers: ReturnType<typeof createServer>[] = []
    const process = { once: (_: string, end: () => void) => void ends.push(end) }
    const make = (handler: Parameters<typeof createServer>[1]) => {
      const server = createServer(handler ?? (() => {}))
      servers.push(server)
      const listen = server.listen.bind(server)
      return Object.assign(server, { listen: () => listen(0, '127.0.0.1') })
    }
    await run(service.replace(/^import .*'node:http'$/m, ''), { createServer: make, process })
    const [server] = servers
    if (server?.listening === false) await new Promise((resolve) => server.once('listening', resolve))
    const address = server?.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const url = `http://127.0.0.1:${port}/a%20key`
    expect((await fetch(url)).status).toBe(404)
    expect((await fetch(url, { method: 'PUT', body: 'Dear reader,' })).status).toBe(201)
    expect(await (await fetch(url)).text()).toBe('Dear reader,')
    expect((await fetch(`http://127.0.0.1:${port}/%`)).status).toBe(400)
    expect((await fetch(`http://127.0.0.1:${port}/none`)).status).toBe(404)
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(405)
    server?.closeIdleConnections()
    for (const end of ends) end()
  })
})

test('the program of the package README runs as printed', async () => {
  for (const code of blocksOf('packages/store/README.md', 'js'))
    expect(await run(code)).toEqual(['Dear reader,'])
})

test('three nodes start and share data by the recipe of the operating guide, over TLS with its certificates', async () => {
  const [authority = '', certificate = ''] = blocksOf('docs/OPERATING.md', 'sh')
  const shell = (script: string) => execFileSync('sh', ['-ec', script], { cwd: folder, stdio: 'pipe' })
  shell(authority)
  const names = ['n1', 'n2', 'n3']
  for (const name of names) shell(certificate.replace('NODE=n1', `NODE=${name}`))
  const [program = '', plan = ''] = blocksOf('docs/OPERATING.md', 'js')
  const ports = new Map<string, string>()
  for (const name of names) ports.set(`${name}.example:7400`, `127.0.0.1:${await freePort()}`)
  const nodes = await Promise.all(
    names.map(async (name) => {
      const opened: store.AtollNode[] = []
      const at = ports.get(`${name}.example:7400`) ?? ''
      let code = program.replace("'0.0.0.0:7400'", `'${at}'`).replace(/`[^`]*:7400`/, `'${at}'`)
      for (const [address, port] of ports) code = code.replaceAll(address, port)
      const quiet = { log: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
      const env = { NAME: name, HOST: name, DATA: join(folder, name), TLS: folder }
      await run(`${code}\nopened.push(node)`, { opened, console: quiet, process: { env, once: () => {} } })
      return opened
    }),
  ).then((all) => all.flat())
  const [first] = nodes
  try {
    expect(
      first?.cluster
        .status()
        .members.map(({ node }) => node)
        .sort(),
    ).toEqual(names)
    const lines = await run(plan, { node: first })
    expect(lines.length).toBe(1)
    expect(first?.cluster.status().members.map(({ state }) => state)).toEqual(['valid', 'valid', 'valid'])
    await first?.objects.createBucket('letters')
    await first?.objects.put('letters', 'key', 'Dear reader,')
    expect((await nodes[2]?.objects.head('letters', 'key'))?.size).toBe(12)
  } finally {
    await Promise.all(nodes.map((node) => node.close()))
  }
})
