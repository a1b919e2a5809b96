/** What the process of a node is started with. */
export interface NodeArguments {
  readonly name: string
  /** Where its data and certificates are. */
  readonly directory: string
  /** "host:port" */
  readonly listen: string
  /** Where members listen that it may ask to be let in. */
  readonly seeds: readonly string[]
}

/** The cluster as the node that was asked sees it. */
export interface Status {
  readonly epoch: number
  readonly members: readonly {
    readonly node: string
    readonly state: string
    readonly up: boolean
    /** Partitions of which it holds a replica. */
    readonly replicas: number
  }[]
  /** What still has to be moved until every replica is where it belongs. */
  readonly pending: number
}

/** What a commit has decided. */
export interface Committed {
  /** Such as "n2 join". */
  readonly changes: readonly string[]
  /** Replicas of partitions that move, and how many have to in any plan. */
  readonly moved: number
  readonly leastMoves: number
}

/** What a parent may ask of the process of a node. */
export interface Commands {
  createBucket(bucket: string): Promise<void>
  put(bucket: string, key: string, body: Uint8Array): Promise<void>
  get(bucket: string, key: string): Promise<Uint8Array>
  /**
   * Of all that these objects consist of, how many records there are, and how many replicas are on the disk of this
   * node.
   */
  count(
    bucket: string,
    keys: readonly string[],
  ): Promise<{ readonly records: number; readonly replicas: number }>
  /** Stages that a member leaves. */
  leave(node: string): Promise<void>
  /** Plans all that is staged, and commits exactly that. */
  commit(): Promise<Committed>
  status(): Promise<Status>
  close(): Promise<void>
}

export interface Question {
  readonly id: number
  readonly command: keyof Commands
  readonly args: readonly unknown[]
}

/** To a question; with the id 0, that the node is open. */
export type Answer =
  | { readonly id: number; readonly result?: unknown }
  | { readonly id: number; readonly error: string }
