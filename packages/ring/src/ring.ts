/** The name of a node: 1 to 64 characters of `a-z A-Z 0-9 . _ -`. */
export type NodeName = string

/** Who owns which partition. Immutable; `owners[p]` owns the hashes just below boundary `p`. */
export interface Ring {
  /** A power of two from 8 to 1024. */
  readonly partitions: number
  readonly owners: readonly NodeName[]
  /** Failure zone of each node; a node without an entry is a zone of its own. */
  readonly zones: ReadonlyMap<NodeName, string>
}

/** One place of a preference list: the vnode `partition` on `node`. */
export interface PreferenceEntry {
  /** A fallback keeps the partition number of the primary that it stands in for. */
  readonly partition: number
  readonly node: NodeName
  readonly role: 'primary' | 'fallback'
}
