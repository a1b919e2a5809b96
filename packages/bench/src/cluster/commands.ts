import type { KeyId } from '@atoll/core'
import type { TcpFactoryOptions, TlsFiles } from '@atoll/transport-tcp'

/** The name of the cluster that all nodes of a measurement belong to. */
export const CLUSTER = 'bench'
export const ANY_PORT = '127.0.0.1:0'
/** What nodes without certificates prove who they are by. */
export const SECRET = 'known to both ends, and to nobody else'

/** How two processes talk: TCP with a shared secret, or TLS. */
export type Way = Pick<TcpFactoryOptions, 'secret'> & { readonly tls?: TlsFiles<string> | undefined }

/** A node to be opened in a process. */
export interface NodeOrder {
  readonly name: string
  readonly path: string
  readonly way: Way
  /** Addresses of members by their names; none for the node that begins the cluster. */
  readonly seeds: Readonly<Record<string, string>>
  /** Of a cluster that it begins; default that of Atoll. */
  readonly partitions?: number
}

/** Ports of bare servers, which know nothing of Atoll. */
export interface BareServers {
  /** Sends back all that comes. */
  readonly echo: number
  /** Answers every `BODY_BYTES` with one byte. */
  readonly sink: number
}

/** Operations on objects of one size, that a process runs by itself. */
export interface LoadOrder {
  readonly kind: 'put' | 'get'
  readonly sizeBytes: number
  readonly operations: number
  readonly concurrency: number
  /** The number of the first one. */
  readonly from: number
  /** Keys are used again after so many. */
  readonly keys: number
}

/** As many exchanges with a bare server that sends back what comes, on a connection for each that is in flight. */
export interface BareLoadOrder extends Omit<LoadOrder, 'kind' | 'keys'> {
  readonly port: number
  readonly tls: TlsFiles<string> | undefined
}

export interface LoadDone {
  readonly seconds: number
  readonly bytes: number
  readonly latenciesUs: readonly number[]
}

export interface ProcessUsage {
  /** User and system time of all threads since the process began. */
  readonly cpuSeconds: number
  readonly rssBytes: number
}

export interface BareCopy {
  /** The file to read, of so many bytes. */
  readonly path: string
  readonly bytes: number
  readonly port: number
  readonly tls: TlsFiles<string> | undefined
}

/** What may be asked of a process. */
export interface Commands {
  /** Bare servers, over TLS if certificates are given. */
  bareServers(tls: TlsFiles<string> | undefined): Promise<BareServers>
  /** An endpoint for the methods of rpc-echo.ts, and its address. */
  rpcServer(name: string, way: Way): Promise<string>
  /** Appends what the next connection brings to a file, flushed, and answers with one byte when so many bytes are in it. */
  receiveFile(path: string, bytes: number, tls: TlsFiles<string> | undefined): Promise<number>
  /** Resolves with the milliseconds until the receiver had it all. */
  sendFile(copy: BareCopy): Promise<number>
  /** Imports what a node is opened by. */
  imports(): Promise<void>
  /** Opens a node, and resolves with its address. */
  open(order: NodeOrder): Promise<string>
  close(): Promise<void>
  createBucket(): Promise<void>
  put(key: string, bytes: number): Promise<void>
  /** Resolves with the size of the object. */
  get(key: string): Promise<number>
  load(order: LoadOrder): Promise<LoadDone>
  bareLoad(order: BareLoadOrder): Promise<LoadDone>
  usage(): Promise<ProcessUsage>
  /** Commits what is staged, and resolves with the milliseconds until everything has moved. */
  move(): Promise<number>
  /** The same for a node in whose place another one comes. */
  replace(node: string, by: string): Promise<number>
  recordsOf(key: string): Promise<readonly KeyId[]>
  /** Members that this node believes to be up. */
  up(): Promise<readonly string[]>
  /** How many of these records this node should have, and has not. */
  lacking(records: readonly KeyId[]): Promise<number>
  /** How many of these records this node should have. */
  share(records: readonly KeyId[]): Promise<number>
  /** How many partitions it has records of that are for others to hold. */
  foreign(): Promise<number>
}

export interface Question {
  readonly id: number
  readonly command: keyof Commands
  readonly args: readonly unknown[]
}

/** To a question; with the id 0, that the process runs. */
export type Answer =
  | { readonly id: number; readonly result?: unknown }
  | { readonly id: number; readonly error: string }
