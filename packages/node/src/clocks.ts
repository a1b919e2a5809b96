import { LATEST_WALL_MS, type Runtime } from '@atoll/core'
import { type ClusterDocument, votersOf } from '@atoll/membership'
import type { ClockReadings, ClusterClocks } from '@atoll/objects'
import type { NodeName } from '@atoll/ring'
import type { Method, RpcEndpoint } from '@atoll/transport'

/** Said in the handshake by a node that tells what its wall clock says. */
export const CLOCKS = 'clocks'

/** What the wall clock of a node says, in milliseconds since 1970; 0 for one that is before that. */
export const clockMethod: Method<null, number> = {
  name: 'node.clock',
  request: { encode: () => ({ tuple: [] }), decode: () => null },
  response: { encode: (wallMs) => ({ tuple: [wallMs] }), decode: (reader) => reader.uint() },
}

const ASK_TIMEOUT_MS = 5000

export interface ClocksParts {
  readonly node: NodeName
  readonly runtime: Pick<Runtime, 'clock'>
  readonly endpoint: Pick<RpcEndpoint, 'call' | 'capabilitiesOf' | 'handle'>
  readonly document: () => ClusterDocument | undefined
}

/**
 * The wall clocks of the members that have a vote. One that is not reached, or of a build before, has a clock that
 * counts and does not answer.
 */
export class Clocks implements ClusterClocks {
  readonly #parts: ClocksParts

  constructor(parts: ClocksParts) {
    this.#parts = parts
  }

  /** Answers what others ask. Called once for every time that the node opens. */
  serve(): void {
    this.#parts.endpoint.handle(clockMethod, async () => this.#own())
  }

  async read({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<ClockReadings> {
    const { node, document } = this.#parts
    const known = document()
    const members = new Set([node, ...(known === undefined ? [] : votersOf(known))])
    const others = [...members].filter((other) => other !== node)
    const answers = await Promise.all(others.map((other) => this.#ask(other, signal)))
    const heard = answers.filter((wallMs) => wallMs !== undefined)
    return { members: members.size, wallMs: [this.#own(), ...heard] }
  }

  async #ask(node: NodeName, signal: AbortSignal | undefined): Promise<number | undefined> {
    const { endpoint } = this.#parts
    if (endpoint.capabilitiesOf(node)?.has(CLOCKS) === false) return undefined
    const options = { timeoutMs: ASK_TIMEOUT_MS, signal }
    return await endpoint.call(node, clockMethod, null, options).catch(() => undefined)
  }

  #own(): number {
    return Math.min(LATEST_WALL_MS, Math.max(0, Math.floor(this.#parts.runtime.clock.wallMs())))
  }
}
