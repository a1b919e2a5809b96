/** What a nemesis needs of a network. The in-memory network of `@atoll/transport` fits. */
export interface NetworkPort {
  /** Lets nothing pass from `groupA` to `groupB`, nor back unless `oneWay`, until `heal`. */
  partition(groupA: Iterable<string>, groupB: Iterable<string>, options?: { readonly oneWay?: boolean }): void
  configure(conditions: NetworkConditions): void
  /** Breaks the connections of these nodes, at both ends. Nobody else is harmed, and new ones can be made at once. */
  reset(nodes: Iterable<string>): void
  /** Nothing is taken in at a node until `thaw`: what arrives there waits, as in the buffers of its kernel. */
  freeze(node: string): void
  thaw(node: string): void
  /** Ends every partition, loss and repetition. Delays stay as they are configured. */
  heal(): void
}

export interface NetworkConditions {
  readonly lossPerMillion?: number
  readonly duplicatePerMillion?: number
  readonly delayMs?: { readonly min: number; readonly max: number }
}

/** What a nemesis needs of a cluster. That of `@atoll/node` fits. */
export interface NodesPort {
  /** Ends a node as a power cut would, its disk included. */
  crash(name: string): Promise<void>
  /** Closes a node in order. */
  stop(name: string): Promise<void>
  /**
   * Starts it again on what its disk kept; `restored` says that this is an older copy, as an operator does who has put
   * it back.
   */
  restart(name: string, options?: { readonly restored?: boolean }): Promise<void>
}
