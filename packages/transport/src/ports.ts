import type { AtollError, Runtime } from '@atoll/core'

/** One message: a small head, and a body that is never copied nor looked into. */
export interface Frame {
  readonly head: Uint8Array
  readonly body?: Uint8Array | undefined
  /**
   * Says that the frame, a small one, need not wait behind what was sent before: it may overtake frames that are not urgent,
   * even one that is half on its way, but no urgent one. Not told to the receiver.
   */
  readonly urgent?: boolean | undefined
}

/**
 * A two-way, ordered channel of frames to one peer. A real one loses nothing until it closes; a simulated one may lose
 * or repeat single frames, and whoever uses it must cope.
 */
export interface Connection {
  /** The address of the other side. */
  readonly peer: string
  /** The name of the node on the other side, if the transport has proof of it. */
  readonly identity?: string | undefined
  /**
   * True if the body of every frame that arrives is an array that nobody else has: whoever is done with it may give it back
   * (`returnBuffer`). Default false: then the sender may have it still.
   */
  readonly ownsBodies?: boolean | undefined
  /**
   * Hands a frame over. Frames arrive in order, but for urgent ones. The bytes belong to the receiver from here on.
   * Returns a promise when the channel is full: await it before sending more. It never rejects. Does nothing once
   * closed.
   */
  send(frame: Frame): Promise<void> | undefined
  /** Called for every frame that arrives. Frames wait until it is set, once, after the connection was made. */
  onFrame: (frame: Frame) => void
  /**
   * Called once, when the connection ends for whatever reason, and also if it ended before this was set. Without a
   * reason, one of the two sides closed it and gave none. No frame arrives afterwards.
   */
  onClose: (reason: Error | undefined) => void
  /**
   * Says whether anybody waits for what is to arrive, at first nobody; a transport whose connections need not keep the
   * process alive has them do so only meanwhile.
   */
  hold?(isAwaited: boolean): void
  /**
   * Ends the connection. What was sent before still arrives at the other side, and after it the reason, as an
   * `AtollError` of the same code that says who told it; what the other side sends now does not arrive here.
   */
  close(reason?: AtollError): void
}

export interface Listener {
  readonly address: string
  /** Accepts no more connections and frees the address. The accepted ones stay. */
  close(): Promise<void>
}

/** What a node needs of a network. */
export interface Transport {
  /** Accepts connections at `address`. Throws `ATOLL_LOCKED` if it is taken. */
  listen(address: string, onConnection: (connection: Connection) => void): Promise<Listener>
  /**
   * Connects to `address`. Throws `ATOLL_UNREACHABLE` if nobody listens there or nobody answers within `timeoutMs`, and
   * `ATOLL_ABORTED` with the signal's reason as its cause; either is definite.
   */
  connect(address: string, options: ConnectOptions): Promise<Connection>
  /**
   * The addresses that an address stands for, such as those of a name that several machines have; without this, each stands
   * for itself. Throws `ATOLL_UNREACHABLE`.
   */
  resolve?(address: string): Promise<readonly string[]>
}

/** How a node that is told nothing else comes to its transport. */
export interface TransportFactory {
  /** Nodes of clusters of other names are refused. */
  readonly clusterName: string
  /** The address to listen at. */
  readonly listen: string
  /** The address that other nodes are told; default what the listener says. */
  readonly advertise?: string | undefined
  /** Whether a node has proof of its own name that no other one has. Default false. */
  readonly certified?: boolean
  /** The transport of one node. Throws `TypeError` or `RangeError` if it was made for another one. */
  create(runtime: Runtime, node: string): Transport
  /**
   * Throws `TypeError` or `RangeError`, naming `argument`, for what nobody can be reached at. Without it any text may be
   * an address.
   */
  checkAddress?(argument: string, address: string): void
}

export interface ConnectOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}
