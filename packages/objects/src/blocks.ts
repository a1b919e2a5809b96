import { AtollError, describe, fromHex, isAtollError, type KeyId, type Runtime } from '@atoll/core'
import { throwIfAborted } from './abort.ts'
import { InFlight } from './in-flight.ts'
import type { KvStore, KvStoreValue, KvStoreWritten } from './ports.ts'
import type { ReadQuorumOptions, WriteQuorumOptions } from './quorums.ts'

/** The blocks of one upload. */
export interface BlockSet {
  /** Of the key-value store. */
  readonly type: string
  /** The id of the bucket, or its name if it has none. */
  readonly bucket: Uint8Array
  /** 32 hexadecimal digits. */
  readonly uuid: string
}

export interface Block {
  readonly sequence: number
  readonly length: number
  readonly crc32: number
}

/** Whose the block is, for the error. */
export interface BlockOwner {
  readonly bucket: string
  readonly key: string
}

export interface BlockReadOptions {
  readonly owner: BlockOwner
  readonly signal: AbortSignal | undefined
  readonly repair: boolean
  readonly quorum: ReadQuorumOptions
}

export interface BlockWrite {
  readonly value: Uint8Array
  /** 16 bytes: the same for every try. */
  readonly writeId: Uint8Array
  readonly quorum: WriteQuorumOptions
  /** Called once nobody looks at the value any more, if that is ever known. */
  readonly onReleased?: (() => void) | undefined
}

export interface BlockDeletion {
  readonly concurrency: number
  readonly signal?: AbortSignal | undefined
}

const UUID_BYTES = 16
export const WRITE_ID_BYTES = 16

/** The block records. A block is written once and never changed. */
export class Blocks {
  readonly #runtime: Runtime
  readonly #kv: KvStore

  constructor(runtime: Runtime, kv: KvStore) {
    this.#runtime = runtime
    this.#kv = kv
  }

  write(set: BlockSet, block: Block, asked: BlockWrite): Promise<KvStoreWritten> {
    const { value, writeId, quorum, onReleased } = asked
    const write = { value, valueCrc32: block.crc32, writeId, onReleased }
    return this.#kv.put(blockId(set, block.sequence), write, quorum)
  }

  /**
   * The block, of the right length and checksum. Throws `ATOLL_CORRUPT` if all who may hold it have it damaged or not at
   * all, and what the store says while some of them cannot be heard.
   */
  async read(set: BlockSet, block: Block, asked: BlockReadOptions): Promise<Uint8Array> {
    const { signal, repair, quorum } = asked
    const accept = ({ value, valueCrc32 }: KvStoreValue) =>
      value.length === block.length && valueCrc32 === block.crc32
    const options = { ...quorum, known: true, ...(repair ? { signal, accept, repair } : { signal, accept }) }
    const read = this.#kv.get(blockId(set, block.sequence), options)
    const { values } = await read.catch((error: unknown) => {
      throw isAtollError(error, 'ATOLL_CORRUPT')
        ? this.#lost(set, block, { ...asked.owner, cause: error })
        : error
    })
    const good = values.find(accept)
    if (good !== undefined) return good.value
    throw this.#lost(set, block, asked.owner)
  }

  #lost(
    { uuid }: BlockSet,
    { sequence }: Block,
    { bucket, key, cause }: BlockOwner & { readonly cause?: AtollError },
  ): AtollError {
    this.#runtime.metrics.count('atoll_objects_blocks_lost_total')
    const message = `block ${sequence} of ${describe(key)} in bucket "${bucket}" (upload ${uuid}) is missing or damaged`
    return new AtollError('ATOLL_CORRUPT', message, { cause, details: { bucket, key, uuid, sequence } })
  }

  /**
   * Deletes the first `count` blocks; those that never were are no error. Throws the first failure, after all tries; and as
   * `throwIfAborted`, when what was begun by then is done.
   */
  async delete(set: BlockSet, count: number, { concurrency, signal }: BlockDeletion): Promise<void> {
    const deletions = new InFlight(concurrency)
    let failure: { readonly error: unknown } | undefined
    const remove = async (sequence: number) => {
      try {
        await this.#kv.delete(blockId(set, sequence))
      } catch (error) {
        failure ??= { error }
      }
    }
    for (let sequence = 0; sequence < count && !signal?.aborted; sequence++)
      await deletions.add(() => remove(sequence))
    await deletions.settle()
    throwIfAborted(signal)
    if (failure !== undefined) throw failure.error
  }
}

export function blockId({ type, bucket, uuid }: BlockSet, sequence: number): KeyId {
  const key = new Uint8Array(UUID_BYTES + 4)
  key.set(fromHex(uuid))
  new DataView(key.buffer).setUint32(UUID_BYTES, sequence)
  return { type, bucket, key }
}
