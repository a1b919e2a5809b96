import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import {
  type Clock,
  createMetrics,
  fromUtf8,
  type MetricsRegistry,
  quietLog,
  type Runtime,
  sleepOn,
  type TupleReader,
  utf8,
} from '@atoll/core'
import {
  MemoryNetwork,
  type MemoryNetworkOptions,
  type MessageCodec,
  type Method,
  type RpcCollaborators,
  RpcEndpoint,
  type RpcOptions,
} from '@atoll/transport'

interface Due {
  readonly atMs: number
  readonly sequence: number
  readonly fire: () => void
}

/** Time that moves when a test says so. */
export class ManualClock implements Clock {
  #nowMs = 1000
  #sequence = 0
  #due: Due[] = []

  get pending(): number {
    return this.#due.length
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs
  }

  timer(delayMs: number, fire: () => void): { cancel(): void } {
    const due = { atMs: this.#nowMs + delayMs, sequence: this.#sequence++, fire }
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

  /** Lets promises run, then fires what is due up to `ms` from now, in order, with promises run after each. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      await settle()
      const next = this.#due
        .filter((due) => due.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs || a.sequence - b.sequence)[0]
      if (next === undefined) break
      this.#due = this.#due.filter((due) => due !== next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.fire()
    }
    this.#nowMs = untilMs
  }
}

/** Lets every promise run that can run without time. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export interface TestWorld {
  readonly clock: ManualClock
  readonly runtime: Runtime
  readonly metrics: MetricsRegistry
  readonly marks: Set<string>
  readonly errors: object[]
}

export function createTestWorld(seed = 1): TestWorld {
  const clock = new ManualClock()
  const marks = new Set<string>()
  const metrics = createMetrics()
  const errors: object[] = []
  const next = mulberry32(seed)
  const runtime: Runtime = {
    clock,
    random: {
      bytes: (length) => Uint8Array.from({ length }, () => next() * 256),
      below: (limit) => Math.floor(next() * limit),
    },
    digest: {
      sha1: (data) => createHash('sha1').update(data).digest(),
      crc32: (data, crc) => crc32(data, crc),
      stream: () => {
        throw new Error('no streams of digests here')
      },
    },
    log: { ...quietLog, error: (fields) => void errors.push(fields) },
    metrics,
    probe: { mark: (name) => void marks.add(name) },
  }
  return { clock, runtime, metrics, marks, errors }
}

export interface TestCluster extends TestWorld {
  readonly network: MemoryNetwork
  /** Opens an endpoint at the address of its node's name. */
  endpoint(
    node: string,
    options?: Partial<RpcOptions>,
    others?: Pick<RpcCollaborators, 'admits'>,
  ): Promise<RpcEndpoint>
}

export function createTestCluster(options: MemoryNetworkOptions = {}, seed = 1): TestCluster {
  const world = createTestWorld(seed)
  const network = new MemoryNetwork(world.runtime, options)
  return {
    ...world,
    network,
    endpoint: async (node, rpcOptions = {}, others = {}) => {
      const collaborators = {
        transport: network.transport(node),
        addressOf: (name: string) => name,
        ...others,
      }
      const endpoint = new RpcEndpoint(world.runtime, collaborators, { node, ...rpcOptions })
      await endpoint.open()
      return endpoint
    },
  }
}

export const text: MessageCodec<string> = {
  encode: (value) => ({ tuple: [value] }),
  decode: (reader: TupleReader) => reader.string(),
}

/** Text that travels as a body. */
export const bodyText: MessageCodec<string> = {
  encode: (value) => ({ tuple: [], body: utf8(value) }),
  decode: (_reader, body) => fromUtf8(body),
}

export const ECHO: Method<string, string> = { name: 'test.echo', request: text, response: text }
export const ECHO_BODY: Method<string, string> = {
  name: 'test.echo-body',
  request: bodyText,
  response: bodyText,
}
export const COUNT: Method<number, string, number> = {
  name: 'test.count',
  request: { encode: (value) => ({ tuple: [value] }), decode: (reader) => reader.uint() },
  response: text,
  progress: { encode: (value) => ({ tuple: [value] }), decode: (reader) => reader.uint() },
}

/** What a promise came to, seen without waiting for it any longer than promises run by themselves. */
export async function outcome<T>(
  promise: Promise<T>,
): Promise<{ value?: T; error?: unknown; pending?: true }> {
  let seen: { value?: T; error?: unknown; pending?: true } = { pending: true }
  promise.then(
    (value) => {
      seen = { value }
    },
    (error) => {
      seen = { error }
    },
  )
  await settle()
  return seen
}

function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
