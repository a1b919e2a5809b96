import { contextOf, encodeContext, writeOnceRecord } from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { type CallOptions, callOptionsOf, type Site } from './call.ts'
import type { KeyQuorums } from './key-quorums.ts'
import type { KvWritten, WriteOptions } from './kv.ts'
import { type NewWrite, NOTHING_WRITTEN, writeIdOf } from './new-write.ts'
import { impossible } from './outcome.ts'
import { patiently, WRITE_AGAIN } from './patience.ts'
import { type NodesInUse, notAsked, spareFor } from './preference.ts'
import { PutCall, type Written } from './put-call.ts'
import type { WriteQuorum } from './quorum.ts'
import { nameOfKey, type RecentRecords } from './recent-records.ts'
import { areTargets, findTargets, type Needed } from './targets.ts'

export interface KeyWritesParts {
  /** The name of this node. */
  readonly node: string
  readonly site: Site
  readonly quorums: KeyQuorums
  readonly recent: RecentRecords
}

/** Writes a value, or a tombstone, to the replicas of a key. */
export class KeyWrites {
  readonly #parts: KeyWritesParts

  constructor(parts: KeyWritesParts) {
    this.#parts = parts
  }

  async write(id: KeyId, write: NewWrite, options: WriteOptions): Promise<KvWritten> {
    const { recent, site } = this.#parts
    const { clock, metrics } = site.runtime
    const startMs = clock.monotonicMs()
    const written = await this.#put(id, write, options)
    metrics.observe('atoll_coordinator_write_ms', clock.monotonicMs() - startMs)
    if (written === undefined) return NOTHING_WRITTEN
    const { accepted, durable, primaries } = written.tally
    if (write.type.policy.kind === 'write-once')
      return { accepted, durable, primaries, context: undefined, alone: written.alone }
    recent.written(nameOfKey(id), written.record)
    const context = encodeContext(contextOf(written.record))
    return { accepted, durable, primaries, context, alone: written.alone }
  }

  /** Undefined if nothing was written, since a replica has declined. */
  #put(id: KeyId, write: NewWrite, options: WriteOptions): Promise<Written | undefined> {
    const { node: local, quorums, site } = this.#parts
    const { content, valueCrc32, context, type, onReleased } = write
    const { view, quorum, newcomer, aloneAt } = quorums.ofWrite(id, write, options)
    const { n, sloppy } = quorum
    const others = newcomer && { ...leastOf(newcomer.others, n - 1), without: newcomer.node }
    const needed = { ...leastOf(quorum, n), sloppy, others }
    const writeId = writeIdOf(write, site.runtime.random)
    const isOnce = type.policy.kind === 'write-once'
    const record = isOnce ? writeOnceRecord(content, valueCrc32, writeId) : undefined
    const coordinated = isOnce ? undefined : { content, valueCrc32, context, writeId }
    const spare = (_: PreferenceEntry, use: NodesInUse) => spareFor(view, use)
    const put = (callOptions: CallOptions) => {
      const targets = findTargets(view, needed)
      const absent = () => notAsked(view, targets)
      return new PutCall(site, callOptions, {
        id,
        targets,
        quorum,
        local,
        record,
        write: coordinated,
        aloneAt,
        guarded: !isOnce && write.ifUnchanged !== undefined,
        newcomer,
        spareFor: spare,
        // Where others stand in for all of them, those keep the write for all.
        hintFor: targets.length < n ? absent() : undefined,
        notAsked: absent,
        onReleased,
      }).run()
    }
    return patiently(
      { attempt: put, isHopeful: () => areTargets(view, needed), codes: WRITE_AGAIN },
      { site, options: callOptionsOf(options, site.settings) },
    )
  }
}

/** What a write takes of n replicas. */
function leastOf(
  { w, dw, pw }: Pick<WriteQuorum, 'w' | 'dw' | 'pw'>,
  n: number,
): Pick<Needed, 'least' | 'primaries' | 'refusal'> {
  return {
    least: Math.max(w, dw),
    primaries: pw,
    refusal: (few, down) => impossible('a write', { n, ...few, w, dw, pw }, down),
  }
}
