import type { MergeFunction, MergePolicy } from '@atoll/causality'
import {
  AtollError,
  checkKnown,
  checkText,
  DEFAULT_TYPE,
  describe,
  isAtollError,
  wrongRange,
  wrongType,
} from '@atoll/core'
import {
  type BucketChanges,
  type BucketProperties,
  checkChange,
  checkProperties,
  DEFAULT_PROPERTIES,
} from './bucket-properties.ts'
import { decodeBucketProperties, encodeBucketProperties } from './codec.ts'

/** By the names that policies give them. The same on every node of a cluster. */
export type MergeFunctions = Readonly<Record<string, MergeFunction>>

export interface BucketTypesOptions {
  /** Default none. */
  readonly merges?: MergeFunctions
}

/** Past this a cluster is not told apart by its types any more. Also for names of merge functions. */
const MAX_TYPES = 1024

/** Bytes that this program cannot read; they are kept as they are. */
interface Unreadable {
  readonly bytes: Uint8Array
  readonly error: AtollError
}

/**
 * The bucket types of a cluster and what they say. The type `default` exists from the start. What one type says that this
 * node cannot do stops the requests of that type, and no others.
 */
export class BucketTypes {
  readonly #merges: Map<string, MergeFunction>
  #types = new Map<string, BucketProperties | Unreadable>([[DEFAULT_TYPE, DEFAULT_PROPERTIES]])
  #filled: ReadonlyMap<string, number> = new Map()

  /** Throws `TypeError` for options that are not as described. */
  constructor(options: BucketTypesOptions = {}) {
    checkKnown('bucket types', options, ['merges'])
    this.#merges = new Map(Object.entries(options.merges ?? {}))
    for (const [name, merge] of this.#merges) checkMerge(name, merge)
  }

  has(type: string): boolean {
    return this.#types.has(type)
  }

  /**
   * Throws `RangeError` for a type that was never set, and `ATOLL_FORMAT` or `ATOLL_CORRUPT` for one of which the
   * properties cannot be read. A merge function that this node lacks throws `ATOLL_FORMAT` when it is called.
   */
  get(type: string): BucketProperties {
    const properties = this.#types.get(type)
    if (properties === undefined)
      throw wrongRange('type', `must be a bucket type that exists, got ${describe(type)}`)
    if ('error' in properties) throw properties.error
    return properties
  }

  /** The same for serving a request: throws `ATOLL_FORMAT` if this node lacks the merge function of the type. */
  forRequest(type: string): BucketProperties {
    const properties = this.get(type)
    const { policy } = properties
    if (policy.kind === 'merge' && !this.#merges.has(policy.name)) throw lacking(type, policy.name)
    return properties
  }

  /**
   * What a type would say after some changes, which may create it; changes nothing. Throws `TypeError` or `RangeError`
   * naming the property, its value and what was expected, and `ATOLL_CHANGE_REFUSED` for a change from or to write-once.
   */
  check(type: string, changes: BucketChanges): BucketProperties {
    checkTypeName(type)
    checkKnown(`bucket type "${type}"`, changes, Object.keys(DEFAULT_PROPERTIES))
    const known = this.#types.has(type)
    if (!known) checkCount(this.#types.size + 1)
    const before = known ? this.get(type) : DEFAULT_PROPERTIES
    const policy = 'policy' in changes ? this.#withFunction(changes.policy) : before.policy
    const after = checkProperties({ ...before, ...changes, policy })
    if (known) checkChange(type, before, after)
    return after
  }

  /**
   * Creates a type, or changes some properties of one that exists; requests that begin later go by them. Throws what
   * `check` throws, and then changes nothing.
   */
  set(type: string, changes: BucketChanges): BucketProperties {
    const properties = this.check(type, changes)
    const { policy } = changes
    if (policy?.kind === 'merge' && policy.merge !== undefined) {
      if (!this.#merges.has(policy.name)) checkCount(this.#merges.size + 1)
      this.#merges.set(policy.name, policy.merge)
    }
    this.#types.set(type, properties)
    return properties
  }

  /**
   * How many replicas of a type may be counted on to have what was written long ago: n, or fewer while n goes up and
   * the next replica is being filled. Reads go by so many, and writes by one more.
   */
  filled(type: string): number {
    const { n } = this.get(type)
    return Math.min(n, this.#filled.get(type) ?? n)
  }

  /** Also for replicas of a type of which this node lacks the merge function: they keep siblings, and need none. */
  policyOf(type: string): MergePolicy {
    return this.get(type).policy
  }

  /** Every type whose properties can be read, in the order of creation. */
  *entries(): IterableIterator<[string, BucketProperties]> {
    for (const [type, properties] of this.#types) if (!('error' in properties)) yield [type, properties]
  }

  /** What goes into the cluster document, by type. */
  toEncoded(): Map<string, Uint8Array> {
    return new Map(
      Array.from(this.#types, ([type, properties]) => [
        type,
        'error' in properties ? properties.bytes : encodeBucketProperties(properties),
      ]),
    )
  }

  /**
   * Takes the types of a cluster document in place of all there were; `default` stays if it is not among them. What was
   * decided is taken as it is: changes are checked before. `filled` says of those whose n goes up how many replicas are
   * filled. Throws `RangeError` for too many types or a bad name of one, and then changes nothing.
   */
  replaceAll(
    encoded: ReadonlyMap<string, Uint8Array>,
    filled: ReadonlyMap<string, number> = new Map(),
  ): void {
    const types = new Map<string, BucketProperties | Unreadable>([[DEFAULT_TYPE, DEFAULT_PROPERTIES]])
    for (const [type, bytes] of encoded) types.set(checkTypeName(type), this.#read(type, bytes))
    checkCount(types.size)
    this.#types = types
    this.#filled = filled
  }

  #read(type: string, bytes: Uint8Array): BucketProperties | Unreadable {
    try {
      return decodeBucketProperties(bytes, (name) => this.#merges.get(name) ?? missing(type, name))
    } catch (error) {
      if (isAtollError(error)) return { bytes: bytes.slice(), error }
      throw error
    }
  }

  /** A name alone stands for the function that is registered under it. */
  #withFunction(policy: BucketChanges['policy']): MergePolicy {
    if (typeof policy !== 'object' || policy === null)
      throw wrongType('policy', `must be a merge policy, got ${describe(policy)}`)
    if (policy.kind !== 'merge' || policy.merge !== undefined) return policy
    const merge = this.#merges.get(policy.name)
    if (merge === undefined)
      throw wrongRange('policy.name', `must be that of a registered function, got ${describe(policy.name)}`)
    return { ...policy, merge }
  }
}

function checkTypeName(type: string): string {
  return checkText('bucket type', type, /^[a-z0-9._-]{1,64}$/, '1 to 64 characters of a-z 0-9 . _ -')
}

function checkCount(count: number): void {
  if (count > MAX_TYPES)
    throw wrongRange(
      'bucketTypes',
      `must be at most ${MAX_TYPES} bucket types with the built-in ones, got ${count}`,
    )
}

function checkMerge(name: string, merge: unknown): void {
  if (typeof merge !== 'function')
    throw wrongType(`merges.${name}`, `must be a function, got ${describe(merge)}`)
}

function missing(type: string, name: string): MergeFunction {
  return () => {
    throw lacking(type, name)
  }
}

function lacking(type: string, name: string): AtollError {
  return new AtollError(
    'ATOLL_FORMAT',
    `bucket type "${type}" merges by the function "${name}", which this node lacks`,
    { details: { type, merge: name } },
  )
}
