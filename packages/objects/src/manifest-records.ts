import { AtollError, decodeWith, encodeWith, isAtollError, type KeyId } from '@atoll/core'
import { historyCodec } from './codec.ts'
import { type History, isEmpty, joinHistories, NO_HISTORY, visibleOf } from './history.ts'
import { indexesOf } from './history-indexes.ts'
import type { Manifest } from './manifest.ts'
import type { KvGetOptions, KvStore } from './ports.ts'

/** Each round joins what others wrote meanwhile; whoever writes last sees all. More rounds than this are not needed. */
const REWRITE_ROUNDS = 4

export interface HistoryRead {
  readonly history: History
  readonly context: Uint8Array | undefined
  /** How many values lie beside each other. */
  readonly siblings: number
  /** True if the index may still show a version that is not visible any more, because of a sibling. */
  readonly listedInVain: boolean
}

/** The manifest records: one for each object, under the object's own name. */
export class ManifestRecords {
  readonly #kv: KvStore

  constructor(kv: KvStore) {
    this.#kv = kv
  }

  async read(id: KeyId, options: KvGetOptions = {}): Promise<HistoryRead> {
    const { values, context } = await this.#kv.get(id, options)
    const histories = values.map(({ value }) => decodeWith(historyCodec, value))
    const history =
      histories.length === 1 ? (histories[0] ?? NO_HISTORY) : histories.reduce(joinHistories, NO_HISTORY)
    const hidden = histories.length > 1 && visibleOf(history) === undefined
    return {
      history,
      context,
      siblings: histories.length,
      listedInVain: hidden && histories.some((sibling) => visibleOf(sibling) !== undefined),
    }
  }

  /** Replaces what was read with that context. A record with nothing in it is deleted. */
  async write(id: KeyId, history: History, context: Uint8Array | undefined): Promise<void> {
    if (isEmpty(history)) {
      await this.#kv.delete(id, { context })
      return
    }
    await this.#kv.put(id, {
      value: encodeWith(historyCodec, history),
      indexes: indexesOf(id, history),
      context,
    })
  }

  /**
   * Notes an upload beside whatever is there, as a sibling: nothing is read, and nothing of the object is written again
   * that may be out of date by then. The next write with a context takes it in.
   */
  async note(id: KeyId, manifest: Manifest): Promise<void> {
    await this.write(id, { ...NO_HISTORY, manifests: new Map([[manifest.uuid, manifest]]) }, undefined)
  }

  /**
   * Applies a change that, applied again, changes nothing (and then answers its argument), until a read shows it done
   * and no siblings left. So of several that write at once the last one sees what the others wrote, and no sibling
   * keeps an index entry alive of a version that is gone. `known` is a read that was just made.
   */
  async rewrite(id: KeyId, change: (history: History) => History, known?: HistoryRead): Promise<void> {
    for (let round = 0; round < REWRITE_ROUNDS; round++) {
      const isFirst = round === 0 && known !== undefined
      const { history, context, siblings } = isFirst ? known : await this.#readAfter(id, round)
      if (siblings === 0) return
      const changed = change(history)
      if (changed === history && siblings === 1) return
      await this.write(id, changed, context)
    }
  }

  /** A read that fails behind a write says nothing certain of the change: it may have been made. */
  async #readAfter(id: KeyId, writes: number): Promise<HistoryRead> {
    try {
      return await this.read(id)
    } catch (cause) {
      if (writes === 0 || !isAtollError(cause)) throw cause
      const { code, message, transient, details } = cause
      throw new AtollError(code, message, { cause, transient, details, definite: false })
    }
  }
}
