import assert from 'node:assert/strict'
import type { Connection, Frame, Listener } from '@atoll/transport'
import type { TransportNetwork } from './transport.ts'

/** Long enough for a busy machine; only a transport that hangs waits for it. */
export const CONNECT = { timeoutMs: 10_000 }

/** One end of a connection that writes down all that happens to it. */
export class End {
  readonly connection: Connection
  readonly frames: Frame[] = []
  readonly closes: (Error | undefined)[] = []
  #wake: (() => void)[] = []

  constructor(connection: Connection) {
    this.connection = connection
    connection.onClose = (reason) => this.#note(() => this.closes.push(reason))
    connection.onFrame = (frame) => this.#note(() => this.frames.push(frame))
  }

  /** Waits until `done` holds; it is looked at whenever something happens here. */
  async until(done: (end: this) => boolean): Promise<this> {
    while (!done(this)) await new Promise<void>((resolve) => this.#wake.push(resolve))
    return this
  }

  /** Waits for so many frames in all. */
  async received(count: number): Promise<readonly Frame[]> {
    await this.until((end) => end.frames.length >= count || end.closes.length > 0)
    assert.ok(this.frames.length >= count, `closed after ${this.frames.length} of ${count} frames`)
    return this.frames
  }

  async closed(): Promise<Error | undefined> {
    await this.until((end) => end.closes.length > 0)
    return this.closes[0]
  }

  #note(write: () => void): void {
    write()
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }
}

export interface Pair {
  readonly listener: Listener
  /** The end that connected, and the one that was accepted. */
  readonly near: End
  readonly far: End
}

/** A listener at "server" and a connection to it from "client". */
export async function connectPair(network: TransportNetwork): Promise<Pair> {
  const address = network.addressFor('server')
  const accepted: ((connection: Connection) => void)[] = []
  const arrival = new Promise<Connection>((resolve) => accepted.push(resolve))
  const listener = await network.transport(address).listen(address, (connection) => accepted[0]?.(connection))
  const near = await network.transport(network.addressFor('client')).connect(listener.address, CONNECT)
  return { listener, near: new End(near), far: new End(await arrival) }
}

/** Sends as a good sender does: it waits when it is asked to. */
export async function sendAll(connection: Connection, frames: Iterable<Frame>): Promise<void> {
  for (const frame of frames) await connection.send(frame)
}

/** A small frame that says which one it is. */
export function numbered(number: number, bodyBytes = 0): Frame {
  const head = new Uint8Array(4)
  new DataView(head.buffer).setUint32(0, number)
  return bodyBytes === 0 ? { head } : { head, body: pattern(bodyBytes, number) }
}

export function numberOf(frame: Frame): number {
  return new DataView(frame.head.buffer, frame.head.byteOffset).getUint32(0)
}

/** Bytes that differ from place to place and from seed to seed. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = at * 31 + seed * 7 + (at >> 8)
  return bytes
}
