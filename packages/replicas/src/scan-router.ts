import { checkPartitions, overlapping } from '@atoll/ring'
import { mergeScans, type ScanReply, type ScanRequest, type ScanVnode } from '@atoll/vnode'
import { scanFor } from './capabilities.ts'
import { scanMethod } from './methods.ts'
import type { MirroredVnodes, Patience } from './mirrored-vnodes.ts'
import { placeOfPartition } from './numbering.ts'
import type { Routed } from './protocol.ts'
import { allHere, type ScanPart, splitScan } from './scan-split.ts'
import { type Asking, notServed, type RouterParts, type Ways } from './ways.ts'

export interface ScanRouterParts extends Pick<RouterParts, 'host' | 'endpoint'> {
  readonly ways: Ways
  readonly vnodes: MirroredVnodes
}

/** Brings a scan to the nodes that serve its vnodes, and their pages together. */
export class ScanRouter {
  readonly #parts: ScanRouterParts

  constructor(parts: ScanRouterParts) {
    this.#parts = parts
  }

  /** A page of vnodes of which some have moved is put together from pages of those who serve them. */
  async scan(asked: Routed<ScanRequest>, patience: () => Patience): Promise<ScanReply> {
    const { host, vnodes, ways } = this.#parts
    ways.assertReadable(asked)
    const by = asked.partitions ?? ways.ring
    const request = asked.partitions === undefined && by !== host.filed ? { ...asked, partitions: by } : asked
    vnodes.checkLists(request, by)
    if (by !== ways.ring) return this.#scanByOtherRing(request, by, patience)
    const askings = request.vnodes.map((vnode) => askingOfVnode(request, vnode, by))
    if (askings.every((asking) => ways.isHere(asking))) {
      return host.scan(request, { signal: patience().signal })
    }
    return ways.retrying(askings, patience, async (routes, call) => {
      if (allHere(routes)) return host.scan(request, { signal: call.signal })
      const parts = splitScan(request, routes)
      const pages = await Promise.all(parts.map((part) => this.#scanPart(part, call)))
      return mergeScans(pages, { limit: request.limit, bytes: host.scanBytes })
    })
  }

  /** Of a ring with another number of partitions than this node's: they are served here as a whole, or not at all. */
  async #scanByOtherRing(
    request: Routed<ScanRequest>,
    by: number,
    patience: () => Patience,
  ): Promise<ScanReply> {
    const { host, ways } = this.#parts
    const { ring } = ways
    checkPartitions(by)
    for (const vnode of request.vnodes) {
      for (const partition of overlapping(vnode.partition, by, ring)) {
        const isHere = ways.isHere(askingOfVnode(request, { ...vnode, partition }, ring))
        if (!isHere) throw notServed(partition, false)
      }
    }
    return host.scan(request, { signal: patience().signal })
  }

  #scanPart({ route: way, request }: ScanPart, call: Patience): Promise<ScanReply> {
    const { endpoint, host, ways } = this.#parts
    return way.kind === 'forward'
      ? ways.call(way.to, scanMethod, scanFor(endpoint, way.to, { ...request, routing: way.routing }), call)
      : host.scan(request, { signal: call.signal })
  }
}

function askingOfVnode(
  { routing }: Routed<ScanRequest>,
  { partition, role = 'primary' }: ScanVnode,
  by: number,
): Asking {
  return { place: placeOfPartition(partition, by), kind: 'read', routing: { ...routing, role } }
}
