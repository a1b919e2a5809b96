import { join } from 'node:path'
import { KiB, MiB } from '@atoll/core'
import { certificates } from './cluster/certificates.ts'
import type { LoadDone, LoadOrder } from './cluster/commands.ts'
import { inDirectory } from './cluster/directory.ts'
import { betweenProcesses, MOVED_BYTES, type Moving, nodeNames, OBJECTS } from './cluster/handoff.ts'
import { PeerProcess } from './cluster/peer-process.ts'
import { compareRounds, type Load, type Round, roundElsewhere } from './measure.ts'
import type { PartOptions } from './parts.ts'
import { type Row, rowOf } from './report.ts'

interface Shape {
  readonly label: string
  readonly sizeBytes: number
  readonly load: Load & { readonly rounds: number }
}

const SHAPES: readonly Shape[] = [
  {
    label: '4 KiB',
    sizeBytes: 4 * KiB,
    load: { operations: 2000, warmUp: 6000, rounds: 5, concurrency: 32 },
  },
  { label: '1 MiB', sizeBytes: MiB, load: { operations: 80, warmUp: 240, rounds: 5, concurrency: 8 } },
]

const NAMES = ['n1', 'n2', 'n3']
const MOVES = { operations: OBJECTS, warmUp: OBJECTS, rounds: 3, concurrency: 1 }

type Part = (onRow: (row: Row) => void, options: Pick<PartOptions, 'packages'>) => Promise<void>

/**
 * Three nodes on disk, each a process of its own, over TLS; the client is in the process of the first. The floor is the same
 * bytes to one of the others and back, over bare TLS sockets. Then a move of blocks between two processes. Processor time
 * is that of all processes.
 */
export const processesParts: readonly Part[] = [
  ...SHAPES.map(
    (shape): Part =>
      (onRow, { packages }) =>
        requests(shape, packages, onRow),
  ),
  moves,
]

type Peers = readonly [PeerProcess, ...PeerProcess[]]

async function requests(shape: Shape, packages: string, onRow: (row: Row) => void): Promise<void> {
  await inDirectory(async (directory) => {
    const peers: Peers = [new PeerProcess(packages), new PeerProcess(packages), new PeerProcess(packages)]
    try {
      const files = await openAll(peers, directory)
      const [client, server] = peers
      const { sizeBytes, load, label } = shape
      const { echo: port } = (await server?.ask('bareServers', files.get('n2'))) ?? { echo: 0 }
      const tls = files.get('n1')
      const keys = load.operations
      for (const kind of ['put', 'get'] as const) {
        const order = (part: Load, from: number): LoadOrder => ({ ...part, kind, sizeBytes, from, keys })
        const comparison = await compareRounds(
          {
            subject: (part, from) => measured(peers, () => client.ask('load', order(part, from))),
            floor: (part, from) =>
              measured(peers, () => client.ask('bareLoad', { ...order(part, from), port, tls })),
          },
          load,
        )
        const name = `${kind.toUpperCase()} ${label}, three processes, TLS, disk`
        onRow(rowOf(name, load.concurrency, comparison))
      }
      for (const peer of peers) await peer.ask('close')
    } finally {
      for (const peer of peers) await peer.end()
    }
  })
}

async function openAll(peers: Peers, directory: string) {
  const files = await certificates(NAMES)
  const [first] = peers
  let seeds: Readonly<Record<string, string>> = {}
  for (const [at, peer] of peers.entries()) {
    const name = NAMES[at] ?? ''
    await peer.started
    const way = { tls: files.get(name) }
    const address = await peer.ask('open', { name, path: join(directory, name), way, seeds })
    if (at === 0) seeds = { [name]: address }
  }
  await first.ask('move')
  await first.ask('createBucket')
  return files
}

async function moves(onRow: (row: Row) => void, { packages }: Pick<PartOptions, 'packages'>): Promise<void> {
  const files = await certificates(nodeNames(MOVES.rounds))
  await inDirectory((directory) => {
    const setting = { directory, of: (node: string) => ({ tls: files.get(node) }), packages }
    return betweenProcesses(setting, async ({ peers, move, copy }: Moving) => {
      const done = (ms: number): LoadDone => {
        const latenciesUs = Array.from({ length: OBJECTS }, () => (1000 * ms) / OBJECTS)
        return { seconds: ms / 1000, bytes: MOVED_BYTES, latenciesUs }
      }
      const comparison = await compareRounds(
        {
          subject: () => measured(peers, async () => done(await move())),
          floor: () => measured(peers, async () => done(await copy())),
        },
        MOVES,
      )
      onRow(rowOf('move of 1 MiB blocks, two processes, TLS, disk', 1, comparison))
    })
  })
}

/** A round with the processor time that all processes have spent meanwhile. */
async function measured(peers: readonly PeerProcess[], run: () => Promise<LoadDone>): Promise<Round> {
  const usages = () => Promise.all(peers.map((peer) => peer.ask('usage')))
  const before = await usages()
  const done = await run()
  const after = await usages()
  const sum = (of: typeof before, figure: 'cpuSeconds' | 'rssBytes') =>
    of.reduce((total, usage) => total + usage[figure], 0)
  const cpuSeconds = sum(after, 'cpuSeconds') - sum(before, 'cpuSeconds')
  return roundElsewhere({ ...done, cpuSeconds, peakRssBytes: sum(after, 'rssBytes') })
}
