import { decodeWith, encodeWith, messageOf, type Runtime, type TupleCodec, toHex } from '@atoll/core'
import { begun, type ClusterDocument, isOlderCopy, type Life } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import type { Lineage } from '@atoll/vnode'
import type { ClusterStorage } from './cluster-storage.ts'

/** What lies beside the data about its lives. */
interface Note {
  /** Of the last life that has begun. */
  readonly generation: string
  /** True only if that life has ended in order, as the last thing that was written. */
  readonly isClosed: boolean
  /** The line of lives that it belongs to; see `Lineage`. */
  readonly lineage: string
  /** The generations of which the cluster may know one, as far as the data knows: the last that it did, and those since. */
  readonly known: readonly string[]
}

export interface GenerationParts {
  readonly node: NodeName
  readonly runtime: Runtime
  readonly storage: Pick<ClusterStorage, 'get' | 'put'>
  /** True if an operator says that the data is an older copy. */
  readonly isRestored: boolean
}

/**
 * - `follows`: the data was closed in order by the life that the cluster knew, and nothing was there in between.
 * - `anew`: it was not, or nobody knows.
 * - `restored`: it is an older copy than the life that the cluster knew.
 */
export type Standing = 'follows' | 'anew' | 'restored'

const GENERATION = 'generation'
/** Neither as long as an actor nor as an id, so that they are never taken for each other. */
const GENERATION_BYTES = 12
/** Lives that began without a majority in reach. With more the data counts as an older copy, which costs time alone. */
const MAX_KNOWN = 100

/**
 * One life of a node's data, from an open to the next. The cluster document says which life of its data a node has told
 * of last. Data that was put back from a backup does not know that life: so an older copy is told from data that was
 * only stopped. Noted as not closed before anything is served, and as closed by the last write of an orderly close.
 */
export class Generation {
  readonly #parts: GenerationParts
  #before: Note | undefined
  #now: Note | undefined
  #standing: Standing | undefined
  #isConfirmed = false
  #isAbandoned = false
  #hasLookedAround = false
  #writing: Promise<void> = Promise.resolve()

  constructor(parts: GenerationParts) {
    this.#parts = parts
  }

  /** Undefined before `begin` and after `end`. */
  get token(): string | undefined {
    return this.#now?.generation
  }

  /** How this life follows on what the cluster knew; undefined until the cluster knows of it. */
  get standing(): Standing | undefined {
    return this.#isConfirmed ? this.#standing : undefined
  }

  /** Begins a life, durably. Does nothing while one goes on. */
  async begin(): Promise<void> {
    if (this.#now !== undefined) return
    const { storage, runtime } = this.#parts
    const stored = await storage.get(GENERATION)
    const before = stored === undefined ? undefined : decodeWith(noteCodec, stored)
    const generation = toHex(runtime.random.bytes(GENERATION_BYTES))
    // Kept, so that the next life knows it too if this one ends before the cluster is told.
    const past = this.#parts.isRestored ? [] : (before?.known ?? [])
    const known = [...past, generation].slice(-MAX_KNOWN)
    const now = { generation, isClosed: false, lineage: generation, known }
    await storage.put(GENERATION, encodeWith(noteCodec, now))
    this.#before = before
    this.#now = now
    this.#standing = undefined
    this.#isConfirmed = false
    this.#isAbandoned = false
    this.#hasLookedAround = false
  }

  /** All other members that can be reached have been asked what they know. */
  lookedAround(): void {
    this.#hasLookedAround = true
  }

  /**
   * Whether what this data knows of votes about the epoch after this document is all that there is: they are given by
   * the life that the document names, and by those of the same data that follow on it. An older copy lacks the votes of
   * the lives that it does not know. One that nobody has looked at yet may be such a copy.
   */
  remembers(document: ClusterDocument): boolean {
    const named = document.members.get(this.#parts.node)?.generation
    if (named === undefined || named === this.#now?.generation) return true
    return this.#hasLookedAround && this.#now?.known.includes(named) === true
  }

  /** The document once it knows of this life. How the life stands is judged by the document that was told last. */
  tell(document: ClusterDocument): ClusterDocument {
    const own = document.members.get(this.#parts.node)
    if (this.#now === undefined || own === undefined || own.generation === this.#now.generation)
      return document
    const { isRestored } = this.#parts
    const life: Life = { generation: this.#now.generation, known: this.#before?.known ?? [], isRestored }
    this.#standing = this.#judge(own.generation, life, document.members.size)
    return begun(document, this.#parts.node, life)
  }

  /** The document that counts knows of this life. Answers how it stands if that was not known. */
  confirm(document: ClusterDocument): Standing | undefined {
    const own = document.members.get(this.#parts.node)
    const now = this.#now
    if (now === undefined || own?.generation !== now.generation || this.#isConfirmed) return undefined
    this.#isConfirmed = true
    this.#standing ??= 'anew'
    const lineage = this.#standing === 'follows' ? (this.#before?.lineage ?? now.lineage) : now.lineage
    this.#now = { ...now, lineage, known: [now.generation] }
    void this.#write(this.#now)
    return this.#standing
  }

  /** Whether the data may be an older copy, as far as this document tells: of one that was never told of it is none. */
  mayBeOlder(document: ClusterDocument): boolean {
    const own = document.members.get(this.#parts.node)
    if (this.#isConfirmed || own === undefined) return false
    return this.#parts.isRestored || own.generation !== undefined
  }

  /** The cluster does not know of this life any more, which it did: it has been restored itself. */
  doubt(document: ClusterDocument): void {
    const own = document.members.get(this.#parts.node)
    if (this.#isConfirmed && own?.generation !== this.#now?.generation) this.#isConfirmed = false
  }

  /** For the vnodes: whether they go on as the actors that they were. */
  lineage(): Lineage {
    const name = this.#now?.lineage ?? ''
    return { name, continues: this.standing === 'follows' }
  }

  /** As a power cut would leave it. */
  abandon(): void {
    this.#isAbandoned = true
  }

  /** The last that is written. A failure is only logged: then the next life does not follow on this one. */
  async end(): Promise<void> {
    const now = this.#now
    this.#now = undefined
    await this.#writing
    if (now !== undefined && !this.#isAbandoned) await this.#write({ ...now, isClosed: true })
  }

  /** Of a cluster of one node the document is part of the data, so that a copy cannot be told from what it was made of. */
  #judge(known: string | undefined, life: Life, members: number): Standing {
    if (isOlderCopy(known, life)) return 'restored'
    const before = this.#before
    return before?.isClosed && before.generation === known && members > 1 ? 'follows' : 'anew'
  }

  #write(note: Note): Promise<void> {
    const { storage, runtime, node } = this.#parts
    this.#writing = this.#writing
      .then(() => storage.put(GENERATION, encodeWith(noteCodec, note)))
      .catch((error: unknown) => {
        runtime.log.warn({ node, reason: messageOf(error) }, 'the generation of the data could not be stored')
      })
    return this.#writing
  }
}

const noteCodec: TupleCodec<Note> = {
  name: 'the note of the lives of the data',
  version: 1,
  encode: ({ generation, isClosed, lineage, known }) => [generation, isClosed, lineage, known],
  decode: (reader) => ({
    generation: reader.string(),
    isClosed: reader.boolean(),
    lineage: reader.string(),
    known: reader.list((item) => item.string()),
  }),
}
