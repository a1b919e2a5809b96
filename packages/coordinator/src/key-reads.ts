import { hasValue, type MergePolicy, resolve, type StoredRecord } from '@atoll/causality'
import { attempt, type KeyId, wrongType } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import type { BucketProperties } from './bucket-properties.ts'
import { type CallOptions, callOptionsOf, type Site } from './call.ts'
import { GetCall } from './get-call.ts'
import type { KeyQuorums } from './key-quorums.ts'
import type { KvRead, KvValue, ReadOptions } from './kv.ts'
import { Latency } from './latency.ts'
import { NearestCall } from './nearest-call.ts'
import { impossible } from './outcome.ts'
import { patiently, READ_AGAIN } from './patience.ts'
import {
  downPrimaries,
  furtherOf,
  isSomeoneAway,
  type NodesInUse,
  nearestFirst,
  nearestOf,
  spareFor,
} from './preference.ts'
import { readOf } from './read-of.ts'
import { nameOfKey, type RecentRecords } from './recent-records.ts'
import { refuseAccept } from './request-checks.ts'
import { areTargets, findTargets, type Needed } from './targets.ts'

export interface KeyReadsParts {
  /** The name of this node. */
  readonly node: string
  readonly site: Site
  readonly quorums: KeyQuorums
  readonly recent: RecentRecords
}

/** Reads the record of a key from its replicas: of a write-once type from the nearest, and else from a quorum of them. */
export class KeyReads {
  readonly #parts: KeyReadsParts
  readonly #latency: Latency

  constructor(parts: KeyReadsParts) {
    this.#parts = parts
    this.#latency = new Latency(parts.site.settings)
  }

  read(id: KeyId, type: BucketProperties, options: ReadOptions): Promise<StoredRecord | undefined> {
    return type.policy.kind === 'write-once'
      ? this.#fromNearest(id, type, options)
      : this.fromQuorum(id, type, options)
  }

  /** `shows` says whether a record has what is looked for; by default, whether it has a value. */
  fromQuorum(
    id: KeyId,
    type: BucketProperties,
    options: ReadOptions,
    shows = this.#showing(type, options),
  ): Promise<StoredRecord | undefined> {
    refuseAccept(options)
    const { node, quorums, recent, site } = this.#parts
    const { view, quorum } = quorums.ofRead(id, type, options)
    const { n, r, pr, sloppy, absence } = quorum
    const refusal: Needed['refusal'] = (few, down) => impossible('a read', { n, ...few, r, pr }, down)
    const needed = { sloppy, least: r, primaries: pr, refusal }
    const { policy } = type
    const { repair = false } = options
    const spare = (_: PreferenceEntry, use: NodesInUse) => spareFor(view, use)
    const down = () => downPrimaries(view)
    // What a fallback may have is worth a first attempt; another one is for the primaries' sake.
    const hoped = absence === 'any' ? needed : { ...needed, primaries: Math.max(r, pr) }
    const read = async (callOptions: CallOptions) => {
      const targets = findTargets(view, needed)
      const nowMs = site.runtime.clock.monotonicMs()
      const first = nearestOf(targets, { local: node, latency: this.#latency, nowMs })
      // What this node alone is asked for takes less to read than to remember. And a replica may remember the digest of
      // a record that has rotted since: a read that repairs looks at what is stored.
      const isAlone = targets.length === 1 && targets[0]?.node === node
      const name = isAlone ? undefined : nameOfKey(id)
      const known = name === undefined || repair ? undefined : recent.get(name)
      const means = { spareFor: spare, down, latency: this.#latency }
      const request = { id, targets, quorum, policy, repair, shows, known, first, ...means }
      const record = await new GetCall(site, callOptions, request).run()
      if (name !== undefined && record !== undefined && record !== known?.record) recent.read(name, record)
      return record
    }
    return patiently(
      { attempt: read, isHopeful: () => areTargets(view, hoped), codes: READ_AGAIN },
      { site, options: callOptionsOf(options, site.settings) },
    )
  }

  async #fromNearest(
    id: KeyId,
    type: BucketProperties,
    options: ReadOptions,
  ): Promise<StoredRecord | undefined> {
    if (options.shows !== undefined) throw wrongType('shows', 'is not for reads of write-once bucket types')
    const { node, quorums, site } = this.#parts
    const { view, quorum } = quorums.ofRead(id, type, options)
    const { n, r, sloppy, absence } = quorum
    const refusal: Needed['refusal'] = (_, down) => impossible('a read', { n, reachable: 0 }, down)
    const needed = { sloppy, least: 1, primaries: 0, refusal }
    const { accept, known = false } = options
    const request = {
      id,
      quorum,
      latency: this.#latency,
      repair: options.repair ?? false,
      known,
      isSomeoneAway: () => sloppy && isSomeoneAway(view),
      accept: (record: StoredRecord) =>
        accept === undefined || this.#values(type.policy, record).every(accept),
      down: () => downPrimaries(view),
    }
    return await patiently(
      {
        attempt: async (callOptions) => {
          const nowMs = site.runtime.clock.monotonicMs()
          const targets = nearestFirst(findTargets(view, needed), {
            local: node,
            latency: this.#latency,
            nowMs,
          })
          const further = furtherOf(view, targets, { sloppy, known })
          return await new NearestCall(site, callOptions, { ...request, targets, further }).run()
        },
        isHopeful: () => areTargets(view, absence === 'any' ? needed : { ...needed, primaries: r }),
        codes: READ_AGAIN,
      },
      { site, options: callOptionsOf(options, site.settings) },
    )
  }

  /** What a client is shown of a record. */
  visible(policy: MergePolicy, record: StoredRecord | undefined): KvRead {
    if (record === undefined) return { values: [], context: undefined }
    return readOf(record, this.#values(policy, record))
  }

  #showing({ policy }: BucketProperties, { shows }: ReadOptions): (record: StoredRecord) => boolean {
    return (record) =>
      shows === undefined
        ? hasValue(policy, record, this.#parts.site.runtime.clock.wallMs())
        : shows(this.#values(policy, record))
  }

  #values(policy: MergePolicy, record: StoredRecord): readonly KvValue[] {
    const { runtime } = this.#parts.site
    const means = { wallMs: runtime.clock.wallMs(), crc32: runtime.digest.crc32 }
    // What a user's function cannot merge is shown as it is: siblings, of which nothing is lost.
    const resolved =
      policy.kind === 'merge'
        ? (attempt(runtime, 'merge', () => resolve(policy, record, means)) ??
          resolve({ kind: 'siblings' }, record, means))
        : resolve(policy, record, means)
    return resolved.values.map(({ value, valueCrc32, metadata }) => ({
      value,
      valueCrc32,
      metadata,
    }))
  }
}
