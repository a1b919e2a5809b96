import {
  AtollError,
  checkMethods,
  checkObject,
  ignoreAbort,
  listenToAbort,
  PORT_METHODS,
  type Runtime,
  type Timer,
} from '@atoll/core'
import { Conditions } from './memory-conditions.ts'
import { MemoryLink } from './memory-connection.ts'
import type { MemoryNetworkOptions } from './options.ts'
import type { Connection, ConnectOptions, Listener, Transport, TransportFactory } from './ports.ts'

interface Listening {
  readonly onConnection: (connection: Connection) => void
  /** True once the address was cut: a process started anew may take its place. */
  orphaned: boolean
}

/** One attempt to connect. */
interface Knock {
  readonly from: string
  readonly to: string
  /** Every link that the attempts made; all but the one that is used are closed again. */
  readonly links: MemoryLink[]
  readonly answer: (link: MemoryLink | undefined) => void
  /** False once the caller has its answer. */
  readonly wanted: () => boolean
}

/**
 * A network inside the process, with faults. Frames of a connection arrive in order whatever their delays, and are not
 * copied. With no delay they arrive in microtasks; else all time and chance come from the runtime, so that a simulated
 * world replays them.
 */
export class MemoryNetwork {
  readonly #conditions: Conditions
  readonly #listeners = new Map<string, Listening>()
  readonly #links = new Set<MemoryLink>()
  readonly #cut = new Set<string>()
  /** Connects that get no answer; they try again when the network heals, as a TCP stack repeats its SYN. */
  readonly #unanswered = new Set<() => void>()

  /** Throws `TypeError` for what is no runtime; `TypeError` or `RangeError` for other options. */
  constructor(runtime: Runtime, options: MemoryNetworkOptions = {}) {
    const ports = checkObject('runtime', runtime)
    for (const port of ['clock', 'random'] as const)
      checkMethods(`runtime.${port}`, Reflect.get(ports, port), PORT_METHODS[port])
    this.#conditions = new Conditions(runtime, options)
  }

  /** The network as seen from `address`. */
  transport(address: string): Transport {
    return {
      listen: async (at, onConnection) => this.#listen(at, onConnection),
      connect: (to, options) => this.#connect(address, to, options),
    }
  }

  /**
   * The same as `transport(address)`, for who takes a factory. The network knows no clusters: `clusterName` is told,
   * not enforced.
   */
  factory(clusterName: string, address: string): TransportFactory {
    return { clusterName, listen: address, create: () => this.transport(address) }
  }

  /** Changes the given options from now on. Throws `TypeError` or `RangeError`, and then changes nothing. */
  configure(options: MemoryNetworkOptions): void {
    this.#conditions.configure(options)
  }

  /**
   * Lets frames from `groupA` to `groupB` vanish, and by default those in the other direction too. Connections stay
   * open, and new ones time out, until `heal`.
   */
  partition(
    groupA: Iterable<string>,
    groupB: Iterable<string>,
    options: { readonly oneWay?: boolean } = {},
  ): void {
    const targets = [...groupB]
    for (const from of groupA) {
      for (const to of targets) {
        if (from === to) continue
        this.#conditions.block(from, to)
        if (options.oneWay !== true) this.#conditions.block(to, from)
      }
    }
  }

  /** What a crash looks like from outside: connections of `address` break, and until `restore` new ones are refused. */
  cut(address: string): void {
    this.#cut.add(address)
    const listening = this.#listeners.get(address)
    if (listening !== undefined) listening.orphaned = true
    for (const link of this.#links) {
      if (link.near.peer === address) link.far.break()
      else if (link.far.peer === address) link.near.break()
    }
  }

  /** Undoes `cut`. A listener that is still there accepts again, unless another one takes the address first. */
  restore(address: string): void {
    this.#cut.delete(address)
  }

  /** Breaks the connections of these addresses, at both ends. Listeners stay, and new connections can be made at once. */
  reset(addresses: Iterable<string>): void {
    const hit = new Set(addresses)
    for (const link of [...this.#links]) {
      if (!hit.has(link.near.peer) && !hit.has(link.far.peer)) continue
      link.near.break()
      link.far.break()
    }
  }

  /** Nothing is taken in at `address` until `thaw`: what arrives there waits, as in the buffers of its kernel. */
  freeze(address: string): void {
    this.#conditions.freeze(address)
  }

  /** Lets `address` take in what has arrived there since `freeze`. */
  thaw(address: string): void {
    this.#conditions.thaw(address)
  }

  /** Ends every partition, loss and repetition. Delays stay, and so do cuts: what crashed is restarted, not healed. */
  heal(): void {
    this.#conditions.unblockAll()
    this.#conditions.configure({ lossPerMillion: 0, duplicatePerMillion: 0 })
    for (const attempt of [...this.#unanswered]) attempt()
  }

  #listen(address: string, onConnection: (connection: Connection) => void): Listener {
    if (this.#listeners.get(address)?.orphaned === false) {
      throw new AtollError('ATOLL_LOCKED', `address ${address} is in use`)
    }
    const listening = { onConnection, orphaned: false }
    this.#listeners.set(address, listening)
    return {
      address,
      close: async () => {
        if (this.#listeners.get(address) === listening) this.#listeners.delete(address)
      },
    }
  }

  #connect(from: string, to: string, options: ConnectOptions): Promise<Connection> {
    const { timeoutMs, signal } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(aborted(to, signal))
      const links: MemoryLink[] = []
      const attempt = () =>
        this.#knock({ from, to, links, answer, wanted: () => this.#unanswered.has(attempt) })
      const settle = (link?: MemoryLink): boolean => {
        const wanted = this.#unanswered.delete(attempt)
        timer.cancel()
        ignoreAbort(signal, onAbort)
        for (const other of links) if (other !== link) other.near.close()
        return wanted
      }
      const fail = (error: AtollError) => {
        if (settle()) reject(error)
      }
      const answer = (link: MemoryLink | undefined) => {
        if (!this.#unanswered.has(attempt)) return
        if (link === undefined) fail(unreachable(to, 'nobody listens there'))
        else if (settle(link)) resolve(link.near)
      }
      const onAbort = () => fail(aborted(to, signal))
      const timer: Timer = this.#conditions.clock.timer(timeoutMs, () => {
        fail(unreachable(to, `no answer within ${timeoutMs} ms`))
      })
      listenToAbort(signal, onAbort)
      this.#unanswered.add(attempt)
      attempt()
    })
  }

  /** Goes to the address, is let in or refused there, and comes back with the answer; or never comes back. */
  #knock(knock: Knock): void {
    const { from, to, links, answer } = knock
    const reply = (link?: MemoryLink) => this.#conditions.travel(to, from, () => answer(link))
    const arrive = () => {
      const listening = this.#cut.has(from) || this.#cut.has(to) ? undefined : this.#listeners.get(to)
      if (!knock.wanted()) return
      if (listening === undefined) {
        reply()
        return
      }
      const link = new MemoryLink(this.#conditions, from, to, (ended) => this.#links.delete(ended))
      this.#links.add(link)
      links.push(link)
      reply(link)
      listening.onConnection(link.far)
    }
    this.#conditions.travel(from, to, arrive)
  }
}

function unreachable(to: string, why: string): AtollError {
  return new AtollError('ATOLL_UNREACHABLE', `cannot connect to ${to}: ${why}`)
}

function aborted(to: string, signal: AbortSignal | undefined): AtollError {
  return new AtollError('ATOLL_ABORTED', `connecting to ${to} was aborted`, {
    definite: true,
    cause: signal?.reason,
  })
}
