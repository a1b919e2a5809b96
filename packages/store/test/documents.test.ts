import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
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

  test('the HTTP service answers what was put, ends on a signal, and has it when it is started again', async () => {
    const service = programs.find((code) => code.includes('createServer')) ?? ''
    const first = await serve(service)
    const url = `${first.base}/a%20key`
    expect((await fetch(url)).status).toBe(404)
    expect((await fetch(url, { method: 'PUT', body: 'Dear reader,' })).status).toBe(201)
    expect(await (await fetch(url)).text()).toBe('Dear reader,')
    expect((await fetch(`${first.base}/%`)).status).toBe(400)
    expect((await fetch(`${first.base}/none`)).status).toBe(404)
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(405)
    await first.end()
    const second = await serve(service)
    expect(await (await fetch(`${second.base}/a%20key`)).text()).toBe('Dear reader,')
    await second.end()
    const third = await serve(service, { maxObjectBytes: 1_000_000 })
    const upload = request(`${third.base}/large`, { method: 'PUT' }).end(Buffer.alloc(30_000_000))
    const [answer] = await once(upload, 'response')
    expect(answer.statusCode).toBe(500)
    expect(Buffer.concat(await answer.toArray()).toString()).toContain('at most 1000000 bytes')
    upload.destroy()
    await third.end()
  })
})

/** A program that makes a server, as it runs, but at a free port; `end` is the signal that ends it. */
async function serve(program: string, objects: store.OpenNodeOptions['objects'] = {}) {
  const servers: ReturnType<typeof createServer>[] = []
  const opened: store.AtollNode[] = []
  const ends: (() => void)[] = []
  const process = { once: (_: string, end: () => void) => void ends.push(end) }
  const make = (handler: Parameters<typeof createServer>[1]) => {
    const server = createServer(handler ?? (() => {}))
    servers.push(server)
    const listen = server.listen.bind(server)
    return Object.assign(server, { listen: () => listen(0, '127.0.0.1') })
  }
  const code = `${program.replace(/^import .*'node:http'$/m, '')}\nopened.push(node)`
  const openNode = (options: store.OpenNodeOptions) => store.openNode({ ...options, objects })
  const load = (name: string): unknown => (name === '@atoll/store' ? { ...store, openNode } : import(name))
  await run(code, { createServer: make, process, opened, load })
  const [server] = servers
  if (server?.listening === false) await new Promise((resolve) => server.once('listening', resolve))
  const address = server?.address()
  const base = `http://127.0.0.1:${typeof address === 'object' ? address?.port : undefined}`
  return {
    base,
    end: async () => {
      server?.closeIdleConnections()
      const closed = new Promise((resolve) => server?.once('close', resolve))
      for (const end of ends) end()
      await closed
      await Promise.all(opened.map((node) => node.close()))
    },
  }
}

test('the program of the package README runs as printed', async () => {
  for (const code of blocksOf('packages/store/README.md', 'js'))
    expect(await run(code)).toEqual(['Dear reader,'])
})

test('the programs of the page on objects run as printed', async () => {
  const said = []
  for (const code of blocksOf('docs/OBJECTS.md', 'js')) said.push(await run(code))
  expect(said).toEqual([['1000 0 1000', '2024/'], ['red']])
})

describe('the operating guide', () => {
  const programs = blocksOf('docs/OPERATING.md', 'js')
  const scripts = blocksOf('docs/OPERATING.md', 'sh')
  const printed = (blocks: readonly string[], part: string) => {
    const [found, ...others] = blocks.filter((code) => code.includes(part))
    expect([found === undefined, others]).toEqual([false, []])
    return found ?? ''
  }
  const shell = (script: string) =>
    execFileSync('sh', ['-ec', script], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const quiet = { log: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

  /** What the script starts, as the environments of the programs, at free ports. */
  async function environments(): Promise<Record<string, string>[]> {
    const names = ['NAME', 'DATA', 'TLS', 'LISTEN', 'ADDRESS', 'SEEDS', 'ADMIN']
    const said = names.map((name) => `${name}=$${name}`).join('|')
    // In the place of Node.js, a function that says what it was given.
    let lines = shell(
      `node() { test "$1" = node.mjs; echo "${said}"; }\n${printed(scripts, 'node node.mjs')}wait; cat n1.log n2.log n3.log`,
    )
    for (const port of ['7401', '7402', '7403']) lines = lines.replaceAll(`:${port}`, `:${await freePort()}`)
    for (const port of ['7501', '7502', '7503'])
      lines = lines.replace(`ADMIN=${port}`, `ADMIN=${await freePort()}`)
    return lines
      .trim()
      .split('\n')
      .map((line) => Object.fromEntries(line.split('|').map((pair) => pair.split('='))))
  }

  test('starts three nodes that share data, over TLS with its certificates, and deletes a bucket', async () => {
    shell(printed(scripts, 'req -x509'))
    const certificate = printed(scripts, 'NODE=n1')
    for (const name of ['n1', 'n2', 'n3']) shell(certificate.replace('NODE=n1', `NODE=${name}`))
    const [program, door] = [printed(programs, 'openNode, tcp'), printed(programs, 'createServer')]
    const opened: store.AtollNode[] = []
    const signals: (() => unknown)[] = []
    const once = (_: string, act: () => unknown) => void signals.push(act)
    const worlds = await environments()
    await Promise.all(
      worlds.map((env) =>
        run(`${program}\n${door}\nopened.push(node)`, { opened, console: quiet, process: { env, once } }),
      ),
    )
    const curls = printed(scripts, '/commit').trim().split('\n')
    const base = `http://127.0.0.1:${worlds[0]?.['ADMIN']}`
    const curl = async (line: string) => {
      const {
        method = 'GET',
        body,
        path,
      } = /^curl (?:-X (?<method>POST) )?(?:-d (?<body>\S+) )?http:\/\/127.0.0.1:7501(?<path>\S+)$/.exec(line)
        ?.groups ?? {}
      const answer = await fetch(`${base}${path}`, body === undefined ? { method } : { method: 'POST', body })
      return [answer.status, await answer.text()] as const
    }
    try {
      const [first, , third] = opened
      const states = () => first?.cluster.status().members.map(({ node, state }) => `${node} ${state}`)
      expect(states()?.sort()).toEqual(['n1 valid', 'n2 joining', 'n3 joining'])
      const [status = '', plan = '', commit = '', settled = '', bucket = ''] = curls
      const shown = JSON.parse((await curl(status))[1])
      expect(shown).toMatchObject({ members: { length: 3 }, stored: { types: {} } })
      // What is not there is not there: a monitor must not take a healthy node for a failed one.
      expect(shown).not.toHaveProperty('forkedAt')
      expect(shown.storage).toEqual({ missed: 0, hasRoom: true })
      expect(await curl(plan)).toEqual([200, expect.stringContaining('n3')])
      expect(await curl(commit)).toEqual([200, expect.stringContaining('the plan is decided')])
      expect(await curl(settled)).toEqual([200, 'every replica is in its place\n'])
      expect(await curl(commit)).toEqual([500, expect.stringContaining('ATOLL_CHANGE_REFUSED')])
      const metrics = await fetch(`${base}/metrics`)
      expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4')
      expect((await metrics.text()).startsWith('# ')).toBe(true)
      const unnamed = await fetch(`${base}/bucket`, { method: 'POST', body: 'No' })
      expect([unnamed.status, await unnamed.text()]).toEqual([
        500,
        expect.stringContaining('ATOLL_INVALID_ARGUMENT RangeError'),
      ])
      const change = JSON.stringify({ kind: 'leave', node: 'n9' })
      const refused = await fetch(`${base}/stage`, { method: 'POST', body: change })
      expect([refused.status, await refused.text()]).toEqual([500, expect.stringContaining('n9')])
      expect(await (await fetch(`${base}/none`)).text()).toContain('/stage')
      expect(states()?.sort()).toEqual(['n1 valid', 'n2 valid', 'n3 valid'])
      expect((await curl(bucket))[0]).toBe(200)
      await first?.objects.put('letters', 'key', 'Dear reader,')
      expect((await third?.objects.head('letters', 'key'))?.size).toBe(12)
      await expect(first?.objects.deleteBucket('letters')).rejects.toThrow('still holds objects')
      await run(printed(programs, 'deleteBucket'), { node: third })
      expect(await first?.objects.listBuckets()).toMatchObject({ buckets: [] })
    } finally {
      await Promise.all(signals.map((end) => end()))
    }
  })

  test('says how to log less', async () => {
    const said: string[] = []
    const log = (level: string) => (_: unknown, text: string) => void said.push(`${level} ${text}`)
    const all = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
    const opened: store.AtollNode[] = []
    const code = `${printed(programs, '...console')}\nopened.push(node)`
    await run(code, { opened, console: all })
    const [node] = opened
    node?.runtime.log.info({}, 'told to nobody')
    node?.runtime.log.warn({}, 'told')
    await node?.close()
    expect(said).toEqual(['warn told'])
  })
})
