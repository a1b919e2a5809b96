import { AtollError, decodeWith, encodeWith, isAtollError, type KeyId } from '@atoll/core'
import { historyCodec } from './codec.ts'
import { type History, isEmpty, joinHistories, NO_HISTORY, visibleOf } from './history.ts'
import { indexesOf } from './history-indexes.ts'
import type { Manifest } from './manifest.ts'
import type { KvGetOptions, KvStore, KvValue, KvWritten } from './ports.ts'

/** Each round joins what others wrote meanwhile; whoever writes last sees all. More rounds than this are not needed. */
const REWRITE_ROUNDS = 4

/** What a writer knows of a record. */
export interface Known {
  readonly history: History
  /** Covers that; undefined for nothing. */
  readonly context: Uint8Array | undefined
}

/** For writers that have not looked. */
export const NOTHING_KNOWN: Known = { history: NO_HISTORY, context: undefined }

export interface HistoryRead extends Known {
  /** The values that lie beside each other, of which `history` is the join. */
  readonly siblings: readonly History[]
  /** True if the index may still show a version that is not visible any more, because of a sibling. */
  readonly listedInVain: boolean
}

/** The manifest records: one for each object, under the object's own name. */
export class ManifestRecords {
  readonly #kv: KvStore

  constructor(kv: KvStore) {
    this.#kv = kv
  }

  /** For a reader: where there is no visible version, it is certain that there is none. */
  readVisible(id: KeyId, options: KvGetOptions = {}): Promise<HistoryRead> {
    const shows: KvGetOptions['shows'] = (values) => visibleOf(joined(historiesOf(values))) !== undefined
    return this.read(id, { ...options, shows })
  }

  async read(id: KeyId, options: KvGetOptions = {}): Promise<HistoryRead> {
    const { values, context } = await this.#kv.get(id, options)
    const histories = historiesOf(values)
    const history = joined(histories)
    const hidden = histories.length > 1 && visibleOf(history) === undefined
    return {
      history,
      context,
      siblings: histories,
      listedInVain: hidden && histories.some((sibling) => visibleOf(sibling) !== undefined),
    }
  }

  /** Replaces what is known. */
  write(
    id: KeyId,
    { history, context }: Known,
    { ifAlone }: { readonly ifAlone: boolean },
  ): Promise<KvWritten> {
    const value = encodeWith(historyCodec, history)
    return this.#kv.put(id, { value, indexes: indexesOf(id, history), context, ifAlone })
  }

  /**
   * Notes an upload beside whatever is there, as a sibling: nothing is read, and nothing of the object is written again
   * that may be out of date by then. The next write with a context takes it in. `before` is what the last note has answered;
   * answers what is known now, which is nothing unless the note is all that there is.
   */
  async note(id: KeyId, manifest: Manifest, before: Known | undefined): Promise<Known | undefined> {
    const history = { ...NO_HISTORY, manifests: new Map([[manifest.uuid, manifest]]) }
    const { context } = before ?? NOTHING_KNOWN
    const written = await this.write(id, { history, context }, { ifAlone: true })
    if (written.alone) return { history, context: written.context }
    if (written.accepted === 0) await this.write(id, { history, context }, { ifAlone: false })
    return undefined
  }

  /**
   * Applies a change that, applied again, changes nothing (and then answers its argument), until a read shows it done
   * and no siblings left. So of several that write at once the last one sees what the others wrote, and no sibling
   * keeps an index entry alive of a version that is gone. `known` is a read that was just made.
   */
  async rewrite(id: KeyId, change: (history: History) => History, known?: HistoryRead): Promise<void> {
    for (let round = 0; round < REWRITE_ROUNDS; round++) {
      const reading = () => this.read(id)
      const { history, context, siblings } =
        round > 0 ? await behindWrite(reading) : (known ?? (await reading()))
      if (siblings.length === 0) return
      const changed = change(history)
      if (changed === history && siblings.length === 1) return
      // A record with nothing in it is deleted.
      if (isEmpty(changed)) await this.#kv.delete(id, { context })
      else await this.write(id, { history: changed, context }, { ifAlone: false })
    }
  }
}

function historiesOf(values: readonly KvValue[]): readonly History[] {
  return values.map(({ value }) => decodeWith(historyCodec, value))
}

function joined(histories: readonly History[]): History {
  return histories.length === 1 ? (histories[0] ?? NO_HISTORY) : histories.reduce(joinHistories, NO_HISTORY)
}

/** What fails behind a write says nothing certain of the change: it may have been made. */
export async function behindWrite<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (cause) {
    if (!isAtollError(cause)) throw cause
    const { code, message, transient, details } = cause
    throw new AtollError(code, message, { cause, transient, details, definite: false })
  }
}
