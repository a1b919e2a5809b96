/**
 * What the system puts arriving bytes into. TLS hands over at most so many at a time; with a new array for each, as a
 * socket makes them that emits what arrives, V8 collects all of its heap for every few dozen MiB.
 */
const INBOX_BYTES = 64 * 1024

/** The one array that all bytes of a socket arrive in, as an option of `connect` of `node:net` and `node:tls`. */
export class Inbox {
  readonly buffer = new Uint8Array(INBOX_BYTES)
  /** Takes what has arrived, which it may look at until it returns. */
  deliver: (bytes: Uint8Array) => void = () => {}

  /** Never pauses: that is what `pause` of the socket is for. */
  readonly callback = (length: number, buffer: Uint8Array): boolean => {
    this.deliver(buffer.subarray(0, length))
    return true
  }
}
