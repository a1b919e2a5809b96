import type { KeyId } from '@atoll/core'
import type { BucketProperties } from './bucket-properties.ts'
import { callOptionsOf, type Site } from './call.ts'
import { Covers } from './covers.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { KeyReads } from './key-reads.ts'
import type { KvScan, KvScanPage, ReadOptions } from './kv.ts'
import type { CoordinatorMeans } from './means.ts'
import { patiently, READ_AGAIN } from './patience.ts'
import { among, readQuorum } from './quorum.ts'
import { readBack } from './request-checks.ts'
import { ScanCall, type ScanRequest } from './scan-call.ts'

export interface IndexScansParts {
  readonly means: Pick<CoordinatorMeans, 'node' | 'placement' | 'bucketTypes' | 'liveness'>
  readonly site: Site
  readonly reads: KeyReads
}

/** Reads pages of an index, each of a minimal set of nodes; keys of which replicas differ are read one by one. */
export class IndexScans {
  readonly #parts: IndexScansParts
  readonly #covers: Covers

  constructor(parts: IndexScansParts) {
    this.#parts = parts
    this.#covers = new Covers(parts.means.node)
  }

  /** `limit` is that of the scan, or the default. */
  async page(
    scan: KvScan,
    { type, limit }: { readonly type: BucketProperties; readonly limit: number },
    options: ReadOptions,
  ): Promise<KvScanPage> {
    const { means, reads, site } = this.#parts
    const { placement, bucketTypes, liveness } = means
    const after = readBack('after', scan.after, decodeCursor)
    const filled = among(bucketTypes.filled(scan.type), { type, options })
    const quorums = Array.from({ length: filled.type.n }, (_, at) =>
      readQuorum(filled.type, filled.options, at + 1),
    )
    const isUp = (node: string) => liveness.isUp(node)
    const cover: ScanRequest['cover'] = (of, { nodes, cause }) => {
      const isAskable = (node: string) => isUp(node) && !nodes.has(node)
      return this.#covers.cover({ placement: of, quorums, isUp: isAskable, cause })
    }
    const { maxScanReads: maxReads } = site.settings
    // A node that has left knows no quorum for the key, which is no error of whoever hands a page to the machine.
    const read: ScanRequest['read'] = async (id: KeyId, shows, callOptions) =>
      await reads.fromQuorum(id, type, { ...options, ...callOptions }, shows)
    const request = { scan, after, limit, groups: scan.groups, maxReads, placement, cover, read }
    const page = await patiently(
      {
        attempt: (callOptions) => new ScanCall(site, callOptions, request).run(),
        isHopeful: () => this.#covers.isCovered({ placement: placement(), quorums, isUp }),
        codes: READ_AGAIN,
      },
      { site, options: callOptionsOf(options, site.settings) },
    )
    return { entries: page.entries, next: page.next === undefined ? undefined : encodeCursor(page.next) }
  }
}
