import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMetrics, type MetricsRegistry } from '@atoll/core'
import { type AtollNode, systemRuntime } from '@atoll/node'
import { type OpenNodeOptions, openNode, tcp } from '../../src/index.ts'

const SECRET = 'a secret of thirty-two characters'

export const KEYS = Array.from({ length: 20 }, (_, at) => `letter-${at}`)

/** A line of a log. */
export interface Line {
  readonly text: string
  readonly fields: object
}

/** What a machine is started with, beside its name: the rest is the same everywhere. */
export type Start = Omit<OpenNodeOptions, 'name' | 'path' | 'transport' | 'runtime'> & {
  /** Address to listen at; default any. */
  readonly listen?: string
  /** Name of the node; default that of the machine, `null` for none. */
  readonly name?: string | null
}

/** One machine: a directory, and the node that runs on it now. Processes come and go, the errors of all of them stay. */
export class Machine {
  readonly name: string
  readonly path: string
  readonly errors: Line[] = []
  metrics: MetricsRegistry = createMetrics()
  #node: AtollNode | undefined

  constructor(name: string, path: string) {
    this.name = name
    this.path = path
  }

  get node(): AtollNode {
    if (this.#node === undefined) throw new Error(`${this.name} does not run`)
    return this.#node
  }

  get address(): string {
    return this.node.address
  }

  async start({ listen = '127.0.0.1:0', name = this.name, ...options }: Start = {}): Promise<AtollNode> {
    const quiet = () => {}
    const error = (fields: object, text: string) => void this.errors.push({ text, fields })
    this.metrics = createMetrics()
    const runtime = systemRuntime({
      log: { debug: quiet, info: quiet, warn: quiet, error },
      metrics: this.metrics,
      digest: sharedDigest,
    })
    const transport = tcp({ cluster: 'reef', listen, secret: SECRET })
    const named = name === null ? {} : { name }
    this.#node = await openNode({
      partitions: 16,
      // Only what hangs meets it; a test that waits for the end of it says another one.
      joinTimeoutMs: 100_000,
      path: this.path,
      ...named,
      ...options,
      transport,
      runtime,
    })
    return this.#node
  }

  async stop(): Promise<void> {
    const node = this.#node
    this.#node = undefined
    await node?.close()
  }

  /** Its disk is lost, or it was never used. */
  async wipe(): Promise<void> {
    await this.stop()
    rmSync(this.path, { recursive: true, force: true })
  }
}

const sharedRuntime = systemRuntime()
const sharedDigest = sharedRuntime.digest

/** Ends the threads that all machines share. */
export function endThreads(): Promise<void> {
  return sharedRuntime.close()
}

/** A few machines with one folder below all of their directories. */
export class Machines implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'atoll-story-'))
  readonly #machines = new Map<string, Machine>()

  machine(name: string): Machine {
    const machine = this.#machines.get(name) ?? new Machine(name, join(this.folder, name))
    this.#machines.set(name, machine)
    return machine
  }

  /** A cluster of these, the first of which began it. Every one holds replicas. */
  async cluster(...names: readonly string[]): Promise<readonly Machine[]> {
    const [first, ...others] = names.map((name) => this.machine(name))
    if (first === undefined) return []
    await first.start({ begin: true })
    for (const other of others) await other.start({ seeds: [first.address] })
    await first.node.cluster.commit(await first.node.cluster.plan())
    await first.node.cluster.settled({ signal: AbortSignal.timeout(150_000) })
    return [first, ...others]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#machines.values()].map((machine) => machine.stop()))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export async function freeAddresses(count: number): Promise<readonly string[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports.map((port) => `127.0.0.1:${port}`)
}

/** Only what hangs meets it: on a busy machine everything takes ten times as long. */
const PATIENCE_MS = 150_000

/** Looks until it is so; what it waits for happens by itself, in its own time. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** Every one of them has every other one for up. */
export function areTogether(machines: readonly Machine[]): boolean {
  return machines.every(({ node }) => machines.every((other) => node.isUp(other.name)))
}

export async function textOf(node: AtollNode, key: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await node.objects.get('letters', key)).body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Three machines with some objects. */
export async function withLetters(machines: Machines): Promise<readonly [Machine, Machine, Machine]> {
  const [n1, n2, n3] = await machines.cluster('n1', 'n2', 'n3')
  if (n1 === undefined || n2 === undefined || n3 === undefined) throw new Error('three were started')
  await n1.node.objects.createBucket('letters')
  for (const key of KEYS) await n1.node.objects.put('letters', key, `Dear reader of ${key},`)
  await until('they are together', () => areTogether([n1, n2, n3]))
  return [n1, n2, n3]
}

/** All of them read every object: just after a start some may have to be told first that their data is the newest. */
export async function readAll(machines: readonly Machine[]): Promise<void> {
  for (const machine of machines)
    await until(`${machine.name} reads all`, async () => (await rightOf(machine)) === KEYS.length)
}

/** How many of the objects a machine reads right. */
export async function rightOf({ node }: Machine, keys: readonly string[] = KEYS): Promise<number> {
  const texts = await Promise.all(keys.map((key) => textOf(node, key).catch((error: Error) => error.message)))
  return texts.filter((text, at) => text === `Dear reader of ${keys[at]},`).length
}

export function clusterOf({ node }: Machine): string {
  return node.cluster.document.clusterId
}
