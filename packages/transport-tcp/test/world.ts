import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import { crc32 } from 'node:zlib'
import {
  type Clock,
  createMetrics,
  type MetricsRegistry,
  quietLog,
  quietProbe,
  type Runtime,
  sleepOn,
} from '@atoll/core'
import type { Connection, Frame, Listener } from '@atoll/transport'
import { type TcpOptions, type TcpTransport, tcpTransport } from '@atoll/transport-tcp'

export const SECRET = 'a secret of the reef'
/** Only what hangs meets it. */
export const SOON = { timeoutMs: 150_000 }

export interface TestRuntime {
  readonly runtime: Runtime
  readonly metrics: MetricsRegistry
}

const realClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  timer: (delayMs, fire, { background = false } = {}) => {
    const timer = setTimeout(fire, delayMs)
    if (background) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
  sleep: (delayMs, options) => sleepOn(realClock, delayMs, options),
}

/** Time that moves when a test says so. */
export class ManualClock implements Clock {
  #nowMs = 1000
  #due: { readonly atMs: number; readonly fire: () => void }[] = []

  monotonicMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#nowMs
  }

  timer(delayMs: number, fire: () => void): { cancel(): void } {
    const due = { atMs: this.#nowMs + delayMs, fire }
    this.#due.push(due)
    return {
      cancel: () => {
        this.#due = this.#due.filter((other) => other !== due)
      },
    }
  }

  sleep(delayMs: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    return sleepOn(this, delayMs, options)
  }

  get pending(): number {
    return this.#due.length
  }

  advance(ms: number): void {
    this.#nowMs += ms
    const due = this.#due.filter(({ atMs }) => atMs <= this.#nowMs)
    this.#due = this.#due.filter((one) => !due.includes(one))
    for (const { fire } of due) fire()
  }
}

export function createRuntime(clock: Clock = realClock): TestRuntime {
  const metrics = createMetrics()
  const runtime: Runtime = {
    clock,
    random: {
      bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
      below: (limit) => Math.floor(Math.random() * limit),
    },
    digest: {
      sha1: (data) => createHash('sha1').update(data).digest(),
      crc32: (data, seed) => crc32(data, seed),
      stream: () => {
        throw new Error('no streams of digests here')
      },
    },
    log: quietLog,
    metrics,
    probe: quietProbe,
  }
  return { runtime, metrics }
}

export interface Party extends TestRuntime {
  readonly transport: TcpTransport
}

/** A busy machine is not silent: only what hangs meets these. */
const PATIENT = { handshakeTimeoutMs: 150_000, keepAliveTimeoutMs: 150_000, closeTimeoutMs: 150_000 }

/**
 * A transport with the usual secret, and limits of time that mean something with a clock of the test alone, unless it
 * is made otherwise.
 */
export function createParty(node: string, options: Partial<TcpOptions> = {}, clock?: Clock): Party {
  const secured = options.tls === undefined && !('secret' in options) ? { secret: SECRET } : {}
  const { runtime, metrics } = createRuntime(clock)
  return {
    runtime,
    metrics,
    transport: tcpTransport(runtime, {
      node,
      cluster: 'reef',
      ...(clock === undefined ? PATIENT : {}),
      ...secured,
      ...options,
    }),
  }
}

/** A listener on a free port of this machine, with what it accepted. */
export async function listen(party: Party): Promise<{
  listener: Listener
  address: string
  accepted: Connection[]
  next: () => Promise<Connection>
}> {
  const accepted: Connection[] = []
  const wanted: ((connection: Connection) => void)[] = []
  const listener = await party.transport.listen('127.0.0.1:0', (connection) => {
    accepted.push(connection)
    wanted.shift()?.(connection)
  })
  let taken = 0
  const next = () => {
    const connection = accepted[taken++]
    return connection !== undefined
      ? Promise.resolve(connection)
      : new Promise<Connection>((resolve) => wanted.push(resolve))
  }
  return { listener, address: listener.address, accepted, next }
}

/** All that happens to a connection. */
export class Diary {
  readonly frames: Frame[] = []
  readonly closed: Promise<Error | undefined>
  #wake: (() => void)[] = []

  readonly connection: Connection

  constructor(connection: Connection) {
    this.connection = connection
    this.closed = new Promise((resolve) => {
      connection.onClose = (reason) => resolve(reason)
    })
    connection.onFrame = (frame) => {
      this.frames.push(frame)
      for (const wake of this.#wake.splice(0)) wake()
    }
  }

  async received(count: number): Promise<readonly Frame[]> {
    while (this.frames.length < count) await new Promise<void>((resolve) => this.#wake.push(resolve))
    return this.frames
  }
}

/** Waits until `done` holds; what it looks at changes with every turn of the loop. */
export async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve))
}

/** A port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const bound = server.address()
      server.close(() => (typeof bound === 'object' && bound !== null ? resolve(bound.port) : reject(bound)))
    })
  })
}
