import type { KeyId } from '@atoll/core'
import type { TcpFactoryOptions } from '@atoll/transport-tcp'

/** What a process is told first: which node to be. */
export interface Order {
  readonly name: string
  /** The directory of its data. */
  readonly path: string
  readonly transport: TcpFactoryOptions
  /** Addresses of members. */
  readonly seeds: readonly string[]
  /** The node that begins the cluster. */
  readonly begin: string
}

/** Random bytes that both sides can make, so that they need not be sent. */
export interface Body {
  readonly seed: number
  readonly bytes: number
}

/** What the parent may then ask of the node. */
export interface Commands {
  createBucket(): Promise<void>
  /** Commits all that is staged, whoever staged it. */
  commit(): Promise<void>
  /** The epoch of the cluster document that the node has, and how much is still to be moved by it. */
  layout(): Promise<{ readonly epoch: number; readonly pendingMoves: number }>
  put(key: string, body: Body): Promise<void>
  /** SHA-256 of the object. */
  get(key: string): Promise<string>
  /** Whether there was something to delete. */
  remove(key: string): Promise<boolean>
  /** The keys of one page. */
  list(): Promise<readonly string[]>
  /** All records that an object consists of. */
  recordsOf(key: string): Promise<readonly KeyId[]>
  /** The nodes that this one believes to be up, itself among them. */
  up(): Promise<readonly string[]>
  /** How many of these records should be on the disk of this node, and are not. */
  lacking(records: readonly KeyId[]): Promise<number>
  /** How many partitions it has records of that are for other nodes to hold. */
  foreign(): Promise<number>
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
  | { readonly id: number; readonly code: string; readonly error: string }
