import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Answer, Commands, Question } from './commands.ts'

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/** A process at the other end, as this one sees it. */
export class PeerProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  /** Resolves when the process runs. */
  readonly started: Promise<unknown>
  #asked = 0

  /** What it measures is of the packages of this folder, a checkout that was built. */
  constructor(packages: string) {
    this.#child = fork(new URL('./peer.js', import.meta.url), [packages], { serialization: 'advanced' })
    this.started = new Promise((resolve, reject) => this.#waiting.set(0, { resolve, reject }))
    this.#child.on('message', (answer: Answer) => this.#onAnswer(answer))
    this.#child.once('exit', (code, signal) => this.#onExit(`the process ended with ${code ?? signal}`))
  }

  /** Rejects with the message of what went wrong there. */
  ask<K extends keyof Commands>(command: K, ...args: Parameters<Commands[K]>): ReturnType<Commands[K]>
  ask(command: keyof Commands, ...args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const question: Question = { id: ++this.#asked, command, args }
      this.#waiting.set(question.id, { resolve, reject })
      if (this.#child.connected) this.#child.send(question)
      else this.#onExit('the process has ended')
    })
  }

  /** It has no time for anything. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  /** It ends in order, so that a profiler which runs in it writes down what it has seen. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    if (this.#child.connected) this.#child.disconnect()
    await gone
  }

  #onAnswer(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('error' in answer) waiting?.reject(new Error(answer.error))
    else waiting?.resolve(answer.result)
  }

  #onExit(error: string): void {
    for (const id of [...this.#waiting.keys()]) this.#onAnswer({ id, error })
  }
}
