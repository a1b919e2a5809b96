import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MiB } from '@atoll/core'
import { bodies } from '../bodies.ts'
import { storeOf } from '../store-of.ts'
import { FlushedFile, piecesOf } from './bare-copy.ts'
import { certificates } from './certificates.ts'
import { type ClusterRow, clusterRow } from './cluster-report.ts'
import { SECRET, type Way } from './commands.ts'
import { inDirectory } from './directory.ts'
import { BUCKET, move } from './node-commands.ts'
import { PeerProcess } from './peer-process.ts'
import { type Contest, inTurn } from './rounds.ts'

const ROUNDS = 3
export const OBJECTS = 64
const BODY_BYTES = MiB
/** The fewest: of more, so little data would mostly show what it costs to begin and to end a move of a partition. */
const PARTITIONS = 8
export const MOVED_BYTES = OBJECTS * BODY_BYTES
/** Objects that are written at a time. */
const WRITERS = 4

/**
 * A node on disk in whose place another one comes, again and again: all that is stored moves each time. Answers the row
 * of moves over TLS.
 */
export async function handoffRows(packages: string, onRow: (row: ClusterRow) => void): Promise<ClusterRow> {
  const row = async (way: string, limitIs: string, contest: Contest) => {
    const head = {
      name: `move of 1 MiB blocks on disk, ${way}`,
      concurrency: 1,
      unit: 'MB/s',
      limitIs,
    } as const
    const result = clusterRow(head, await inTurn(ROUNDS, contest))
    onRow(result)
    return result
  }
  await inDirectory(async (directory) => {
    await withinProcess({ directory, packages }, (contest) =>
      row('memory', 'a file read, and appended with flushes', contest),
    )
  })
  const secretly: Way = { secret: SECRET }
  const copied = (socket: string) => `a file read, sent by a bare ${socket}, and appended with flushes`
  await inDirectory(async (directory) => {
    await betweenProcesses({ directory, packages, of: () => secretly }, (moving) =>
      row('TCP', copied('socket'), contestOf(moving)),
    )
  })
  const files = await certificates(nodeNames(ROUNDS))
  return inDirectory((directory) => {
    const of = (node: string): Way => ({ tls: files.get(node) })
    return betweenProcesses({ directory, packages, of }, (moving) =>
      row('TLS', copied('TLS socket'), contestOf(moving)),
    )
  })
}

/** n1 and one more for every round, and for that which does not count. */
export function nodeNames(rounds: number): readonly string[] {
  return Array.from({ length: rounds + 2 }, (_, at) => nameOf(at))
}

function nameOf(at: number): string {
  return `n${at + 1}`
}

/** Both nodes in this process, on the network in memory. */
async function withinProcess(
  { directory, packages }: Omit<Setting, 'of'>,
  run: (contest: Contest) => Promise<ClusterRow>,
): Promise<ClusterRow> {
  const { openCluster } = await storeOf(packages)
  await using cluster = await openCluster({ nodes: 1, path: directory, partitions: PARTITIONS })
  const { objects } = cluster.node(1)
  await objects.createBucket(BUCKET)
  const bodyOf = bodies(BODY_BYTES)
  await writeAll(async (n) => void (await objects.put(BUCKET, `${n}`, bodyOf(n))))
  let at = 0
  const subject = async () => {
    const [from, to] = [nameOf(at++), nameOf(at)]
    await cluster.add(to)
    const node = cluster.node(to)
    await node.cluster.stage({ kind: 'replace', node: from, by: to })
    const ms = await move(node)
    await cluster.forget(from)
    await rm(join(directory, from), { recursive: true })
    return rateOf(ms)
  }
  const path = await plainFile(directory)
  const limit = async () => {
    const source = await open(path)
    const copy = join(directory, 'copy')
    const target = new FlushedFile(await open(copy, 'w'))
    const startedMs = performance.now()
    for await (const piece of piecesOf(source, MOVED_BYTES)) await target.append(piece)
    await target.end()
    const ms = performance.now() - startedMs
    await source.close()
    await rm(copy)
    return rateOf(ms)
  }
  return await run({ subject, limit })
}

interface Setting {
  readonly directory: string
  readonly of: (node: string) => Way
  /** The checkout of which the nodes are. */
  readonly packages: string
}

/** Two processes with nodes, and with the ends of a bare copy. */
export interface Moving {
  readonly peers: readonly PeerProcess[]
  /** Milliseconds until all that is stored has moved to a new node in the other process. */
  readonly move: () => Promise<number>
  /** Milliseconds until a file of as many bytes is copied. */
  readonly copy: () => Promise<number>
}

function contestOf({ move, copy }: Moving): Contest {
  return { subject: async () => rateOf(await move()), limit: async () => rateOf(await copy()) }
}

export async function betweenProcesses<T>(
  { directory, of, packages }: Setting,
  run: (moving: Moving) => Promise<T>,
): Promise<T> {
  const peers = [new PeerProcess(packages), new PeerProcess(packages)] as const
  try {
    await Promise.all(peers.map(({ started }) => started))
    const [first, second] = peers
    const openAt = (peer: PeerProcess, name: string, seeds: Readonly<Record<string, string>>) => {
      const path = join(directory, name)
      return peer.ask('open', { name, path, way: of(name), seeds, partitions: PARTITIONS })
    }
    let address = await openAt(first, nameOf(0), {})
    await first.ask('createBucket')
    await writeAll((n) => first.ask('put', `${n}`, BODY_BYTES))
    let at = 0
    const move = async () => {
      const [source, target] = at % 2 === 0 ? [first, second] : [second, first]
      const [from, to] = [nameOf(at++), nameOf(at)]
      address = await openAt(target, to, { [from]: address })
      const ms = await target.ask('replace', from, to)
      await source.ask('close')
      await rm(join(directory, from), { recursive: true })
      return ms
    }
    const path = await plainFile(directory)
    const { tls } = of(nameOf(0))
    const copy = async () => {
      const port = await second.ask('receiveFile', join(directory, 'copy'), MOVED_BYTES, tls)
      return await first.ask('sendFile', { path, bytes: MOVED_BYTES, port, tls })
    }
    const result = await run({ peers, move, copy })
    for (const peer of peers) await peer.end()
    return result
  } finally {
    for (const peer of peers) await peer.kill()
  }
}

function rateOf(ms: number): { readonly figure: number } {
  return { figure: MOVED_BYTES / 1000 / ms }
}

async function writeAll(write: (n: number) => Promise<void>): Promise<void> {
  let next = 0
  const writer = async () => {
    while (next < OBJECTS) await write(next++)
  }
  await Promise.all(Array.from({ length: WRITERS }, writer))
}

/** A file of as many random bytes as are moved. */
async function plainFile(directory: string): Promise<string> {
  const path = join(directory, 'plain')
  const bodyOf = bodies(BODY_BYTES)
  const file = await open(path, 'w')
  for (let n = 0; n < OBJECTS; n++) await file.write(bodyOf(n))
  await file.sync()
  await file.close()
  return path
}
