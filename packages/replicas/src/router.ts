import { behindWrite } from '@atoll/core'
import { isCapable } from '@atoll/transport'
import type {
  CoordinateReply,
  CoordinateRequest,
  GetReply,
  GetRequest,
  HintRequest,
  OnDecided,
  PutReply,
  PutRequest,
  ScanReply,
  ScanRequest,
} from '@atoll/vnode'
import { checkValues, DIGEST_READS, HINTS, QUIET_PUTS, WRITE_IDS } from '@atoll/vnode'
import { notesNone } from './capabilities.ts'
import { coordinateMethod, getMethod, hintMethod, putMethod } from './methods.ts'
import { MirroredVnodes, type Patience } from './mirrored-vnodes.ts'
import type { Routed } from './protocol.ts'
import { ScanRouter } from './scan-router.ts'
import { type RouterParts, Ways } from './ways.ts'

/** Brings every request to the node that serves its partition at this moment, which is nearly always this one. */
export class VnodeRouter {
  readonly #parts: RouterParts
  readonly #ways: Ways
  readonly #vnodes: MirroredVnodes
  readonly #scans: ScanRouter

  constructor(parts: RouterParts) {
    this.#parts = parts
    const { host, endpoint } = parts
    const ways = new Ways(parts)
    this.#ways = ways
    this.#vnodes = new MirroredVnodes({ host, endpoint, ring: () => ways.ring })
    this.#scans = new ScanRouter({ host, endpoint, ways, vnodes: this.#vnodes })
  }

  async get(request: Routed<GetRequest>, patience: () => Patience): Promise<GetReply> {
    this.#ways.assertReadable(request)
    const { host } = this.#parts
    if (this.#ways.isSettled(request)) {
      const reply = await host.get(request)
      if (hasFound(reply) || this.#ways.isSettled(request)) return reply
    }
    const asking = this.#ways.askingOf(request, 'read')
    const here = () => this.#vnodes.get(this.#ways.filed(request, asking), { ...asking, patience })
    if (this.#ways.isHere(asking)) {
      const reply = await here()
      // A record that was given away while it was asked for is where the partition is now.
      if (hasFound(reply) || this.#ways.isHere(asking)) return reply
    }
    const reply = await this.#ways.elsewhere(asking, patience, {
      here,
      there: (to, routing, call) => {
        const digestOnly = request.digestOnly && isCapable(this.#parts.endpoint, to, DIGEST_READS)
        return this.#ways.call(
          to,
          getMethod,
          this.#ways.forwarded({ ...request, digestOnly }, asking, routing),
          call,
        )
      },
    })
    if (reply.record !== undefined) checkValues(reply.record, host.crc32)
    return reply
  }

  put(
    request: Routed<PutRequest>,
    patience: () => Patience,
    onAccepted: (() => void) | undefined,
  ): Promise<PutReply> {
    if (this.#ways.isSettled(request)) return this.#parts.host.put(request, { onAccepted })
    const asking = this.#ways.askingOf(request, 'write')
    const here = () =>
      this.#vnodes.put(this.#ways.filed(request, asking), { ...asking, patience }, onAccepted)
    if (this.#ways.isHere(asking)) return here()
    return this.#ways.elsewhere(asking, patience, {
      here,
      there: (to, routing, call) => {
        const { endpoint } = this.#parts
        const tellTwice = request.tellTwice && isCapable(endpoint, to, WRITE_IDS)
        const quiet = onAccepted === undefined && isCapable(endpoint, to, QUIET_PUTS)
        const forwarded = this.#ways.forwarded(
          { ...request, tellTwice, quiet, ...this.#hintFor(request, to) },
          asking,
          routing,
        )
        return this.#ways.call(to, putMethod, forwarded, { ...call, onProgress: onAccepted })
      },
    })
  }

  /** `onDecided` is called by a vnode of this node alone, and only while nothing of it moves. */
  coordinate(
    request: Routed<CoordinateRequest>,
    patience: () => Patience,
    onDecided?: OnDecided,
  ): Promise<CoordinateReply> {
    const { host } = this.#parts
    if (this.#ways.isSettled(request)) return host.coordinate(request, onDecided)
    const asking = this.#ways.askingOf(request, 'write')
    const here = () => this.#vnodes.coordinate(this.#ways.filed(request, asking), { ...asking, patience })
    if (this.#ways.isHere(asking)) return here()
    return this.#ways.elsewhere(asking, patience, {
      here,
      there: async (to, routing, call) => {
        const told = { ...request, ...this.#hintFor(request, to), tellDecided: undefined }
        const reply = await this.#ways.call(
          to,
          coordinateMethod,
          this.#ways.forwarded(told, asking, routing),
          call,
        )
        await behindWrite(() => checkValues(reply.record, host.crc32))
        return reply
      },
    })
  }

  /** A node of an earlier build cannot note it. */
  hint(request: Routed<HintRequest>, patience: () => Patience): Promise<'done'> {
    const { host, endpoint } = this.#parts
    const asking = this.#ways.askingOf(request, 'write')
    const here = async () => {
      await host.hint(this.#ways.filed(request, asking))
      return 'done' as const
    }
    if (this.#ways.isHere(asking)) return here()
    return this.#ways.elsewhere(asking, patience, {
      here,
      there: (to, routing, call) =>
        isCapable(endpoint, to, HINTS)
          ? this.#ways.call(to, hintMethod, this.#ways.forwarded(request, asking, routing), call)
          : Promise.reject(notesNone(to)),
    })
  }

  #hintFor({ hintFor }: Pick<PutRequest, 'hintFor'>, to: string): Pick<PutRequest, 'hintFor'> {
    return { hintFor: isCapable(this.#parts.endpoint, to, HINTS) ? hintFor : undefined }
  }

  /** A page of vnodes of which some have moved is put together from pages of those who serve them. */
  scan(request: Routed<ScanRequest>, patience: () => Patience): Promise<ScanReply> {
    return this.#scans.scan(request, patience)
  }
}

function hasFound({ record, digest }: GetReply): boolean {
  return record !== undefined || digest !== undefined
}
