import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Answer, Commands, Order } from './commands.ts'

/** What a node answered to a question that it could not do; or `gone` as code if its process ended before. */
export class Refusal extends Error {
  readonly code: string

  constructor(node: string, { code, error }: { readonly code: string; readonly error: string }) {
    super(`${node}: ${code}: ${error}`)
    this.code = code
  }
}

/** One node in a process of its own, as its parent sees it. */
export class NodeProcess {
  readonly name: string
  /** Resolves with its address when the node is open. */
  readonly opened: Promise<string>
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #asked = 0

  constructor(program: string, order: Order) {
    this.name = order.name
    this.#child = fork(program, {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.opened = new Promise((resolve, reject) => {
      this.#expect(0, (address) => resolve(String(address)), reject)
    })
    this.#child.on('message', (answer: Answer) => this.#onAnswer(answer))
    this.#child.once('exit', (code, signal) => this.#onExit(`the process ended with ${code ?? signal}`))
    this.#child.send(order)
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Lets the node do something, and resolves with what it says. Rejects with a `Refusal`. */
  ask<K extends keyof Commands>(command: K, ...args: Parameters<Commands[K]>): ReturnType<Commands[K]>
  ask(command: keyof Commands, ...args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.#asked
      this.#expect(id, resolve, reject)
      if (this.#child.connected) this.#child.send({ id, command, args })
      else this.#onExit('the process has ended')
    })
  }

  /** It has no time to say goodbye or to write anything down. */
  async kill(): Promise<void> {
    if (!this.isRunning) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  /** It stands still until `resume`, its connections open. */
  pause(): void {
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  #expect(id: number, resolve: (result: unknown) => void, reject: (error: Error) => void): void {
    this.#waiting.set(id, (answer) => {
      if ('error' in answer) reject(new Refusal(this.name, answer))
      else resolve(answer.result)
    })
  }

  #onAnswer(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    waiting?.(answer)
  }

  #onExit(error: string): void {
    for (const id of [...this.#waiting.keys()]) this.#onAnswer({ id, code: 'gone', error })
  }
}
