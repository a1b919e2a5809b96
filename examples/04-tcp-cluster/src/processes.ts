import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Authority } from './certificates.ts'
import type { Answer, Commands, NodeArguments } from './commands.ts'

/** The processes of a cluster on this machine: one for each node, with a temporary folder for all of them. */
export class Processes {
  readonly #directory = mkdtempSync(join(tmpdir(), 'atoll-tcp-cluster-'))
  readonly #running = new Map<string, NodeProcess>()
  readonly #addresses = new Map<string, string>()

  /** Makes a certificate and an address for each node. Nothing of it outlives this process, however that ends. */
  static async create(cluster: string, names: readonly string[]): Promise<Processes> {
    const processes = new Processes()
    process.once('exit', () => processes.#remove())
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
    const authority = await Authority.create(cluster)
    for (const name of names) {
      processes.#addresses.set(name, `127.0.0.1:${await freePort()}`)
      const folder = processes.#folder(name)
      mkdirSync(folder)
      for (const [file, pem] of Object.entries(await authority.issue(name)))
        writeFileSync(join(folder, `${file}.pem`), pem, { mode: 0o600 })
    }
    return processes
  }

  /** Starts the process of a node that joins `seed`, or finds what it was before in its folder. */
  async start(name: string, { seed }: { readonly seed?: string } = {}): Promise<NodeProcess> {
    const seeds = seed === undefined ? [] : [this.#addressOf(seed)]
    const directory = this.#folder(name)
    const node = new NodeProcess({ name, directory, listen: this.#addressOf(name), seeds })
    this.#running.set(name, node)
    await node.opened
    return node
  }

  #addressOf(name: string): string {
    const address = this.#addresses.get(name)
    if (address === undefined)
      throw new RangeError(`${name} is none of ${[...this.#addresses.keys()].join(', ')}`)
    return address
  }

  #folder(name: string): string {
    return join(this.#directory, name)
  }

  #remove(): void {
    for (const node of this.#running.values()) node.end()
    // A process that was just killed may still be at it.
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }
}

/** One node in a process of its own, as its parent sees it. */
export class NodeProcess {
  readonly name: string
  readonly address: string
  /** Resolves when the node is open. */
  readonly opened: Promise<void>
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #asked = 0

  constructor(node: NodeArguments) {
    this.name = node.name
    this.address = node.listen
    this.#child = fork(new URL('./node.js', import.meta.url), [JSON.stringify(node)], {
      serialization: 'advanced',
      execArgv: [],
    })
    this.opened = new Promise((resolve, reject) => this.#expect(0, () => resolve(), reject))
    this.#child.on('message', (answer: Answer) => this.#onAnswer(answer))
    this.#child.once('exit', (code, signal) => this.#onExit(`${this.name} ended with ${code ?? signal}`))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Lets the node do something, and resolves with what it says. */
  ask<K extends keyof Commands>(command: K, ...args: Parameters<Commands[K]>): ReturnType<Commands[K]>
  ask(command: keyof Commands, ...args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.#asked
      this.#expect(id, resolve, reject)
      this.#child.send({ id, command, args })
    })
  }

  /** Closes the node, and waits until its process has ended. */
  async close(): Promise<void> {
    const gone = once(this.#child, 'exit')
    await this.ask('close')
    await gone
  }

  /** `kill -9`: it has no time to say goodbye or to write anything down. */
  async kill(): Promise<void> {
    const gone = once(this.#child, 'exit')
    this.end()
    await gone
  }

  /** Ends it if it still runs, without waiting for that. */
  end(): void {
    this.#child.kill('SIGKILL')
  }

  #expect(id: number, resolve: (result: unknown) => void, reject: (error: Error) => void): void {
    this.#waiting.set(id, (answer) => {
      if ('error' in answer) reject(new Error(`${this.name}: ${answer.error}`))
      else resolve(answer.result)
    })
  }

  #onAnswer(answer: Answer): void {
    this.#waiting.get(answer.id)?.(answer)
    this.#waiting.delete(answer.id)
  }

  #onExit(error: string): void {
    for (const id of [...this.#waiting.keys()]) this.#onAnswer({ id, error })
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const bound = server.address()
      server.close(() => (typeof bound === 'object' && bound !== null ? resolve(bound.port) : reject(bound)))
    })
  })
}
