/** Everything that comes from outside the program, as ports. Nothing in the pure packages reaches past them. */
export interface Runtime {
  readonly clock: Clock
  readonly random: Random
  readonly digest: Digests
  readonly log: Log
  readonly metrics: Metrics
  readonly probe: Probe
}

/** The methods of each port, for whoever checks what a caller gave. */
export const PORT_METHODS: Readonly<Record<keyof Runtime, readonly string[]>> = {
  clock: ['monotonicMs', 'wallMs', 'timer', 'sleep'],
  random: ['bytes', 'below'],
  digest: ['sha1', 'crc32', 'stream'],
  log: ['debug', 'info', 'warn', 'error'],
  metrics: ['count', 'gauge', 'observe'],
  probe: ['mark'],
}

export interface Clock {
  /** Milliseconds since some fixed start, with fractions; never goes back. For durations and deadlines. */
  monotonicMs(): number
  /** Milliseconds since 1970-01-01 UTC, as this node believes it; may jump. Never decides which write wins. */
  wallMs(): number
  /**
   * Calls `fire` once, `delayMs` from now at the earliest, unless cancelled. One that is `background` does not keep the
   * process alive: nobody waits for it.
   */
  timer(delayMs: number, fire: () => void, options?: { readonly background?: boolean }): Timer
  /** Resolves after `delayMs`; rejects with the reason of `signal` as soon as that is aborted. */
  sleep(delayMs: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
}

export interface Timer {
  /** Idempotent; does nothing once the timer has fired. */
  cancel(): void
}

export interface Random {
  /** `length` fresh random bytes. */
  bytes(length: number): Uint8Array
  /** A uniform integer from 0 to `limit - 1`; `limit` is at most 2^32. */
  below(limit: number): number
}

export interface Digests {
  /** SHA-1 of a small value, at once: 20 bytes. */
  sha1(data: Uint8Array): Uint8Array
  /** CRC-32 (ISO-HDLC, as in zlib) as an unsigned integer; `seed` continues an earlier one. */
  crc32(data: Uint8Array, seed?: number): number
  /** A digest over a body that arrives in chunks. */
  stream(algorithm: StreamAlgorithm): DigestStream
}

export type StreamAlgorithm = 'md5' | 'sha256'

export interface DigestStream {
  /**
   * Takes the next chunk, which may change again as soon as the call has returned, or its promise, if there is one, has
   * resolved. Await that before the next call.
   */
  update(chunk: Uint8Array): void | Promise<void>
  /** Ends the stream. */
  digest(): Promise<Uint8Array>
  /** Ends a stream whose digest nobody wants any more; call one of the two. */
  discard(): void
}

/** A structured logger of the shape that pino has. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export type Labels = Readonly<Record<string, string>>

/** Where numbers go. Names are snake_case with their unit last, as Prometheus has it. */
export interface Metrics {
  /** Adds to a counter that only grows. */
  count(name: string, amount?: number, labels?: Labels): void
  /** Sets a gauge. */
  gauge(name: string, value: number, labels?: Labels): void
  /** Records one observation of a distribution. */
  observe(name: string, value: number, labels?: Labels): void
}

/** Named marks in the code, by which a test proves that it went where it meant to go. */
export interface Probe {
  mark(name: string): void
}
