/** One message: a small head, and a body that is never copied nor looked into. */
export interface Frame {
  readonly head: Uint8Array
  readonly body?: Uint8Array | undefined
}

/**
 * A two-way, ordered channel of frames to one peer. A real one loses nothing until it closes; a simulated one may lose
 * or repeat single frames, and whoever uses it must cope.
 */
export interface Connection {
  /** The address of the other side. */
  readonly peer: string
  /**
   * Hands a frame over. Frames arrive in order. The bytes belong to the receiver from here on. Returns a promise when
   * the channel is full: await it before sending more. Does nothing once closed.
   */
  send(frame: Frame): Promise<void> | undefined
  /** Called for every frame that arrives. Set once, at once after the connection was made or accepted. */
  onFrame: (frame: Frame) => void
  /** Called once, when the connection ends for whatever reason. */
  onClose: (reason: Error | undefined) => void
  close(): void
}

export interface Listener {
  readonly address: string
  close(): Promise<void>
}

/** What a node needs of a network. */
export interface Transport {
  /** Accepts connections at `address`. Throws if it is taken. */
  listen(address: string, onConnection: (connection: Connection) => void): Promise<Listener>
  /** Connects to `address`; throws `ATOLL_UNREACHABLE` if nobody answers within `timeoutMs`. */
  connect(address: string, options: ConnectOptions): Promise<Connection>
}

export interface ConnectOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}
