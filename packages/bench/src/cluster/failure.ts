import { join } from 'node:path'
import type { KeyId } from '@atoll/core'
import { certificates } from './certificates.ts'
import { type ClusterRow, clusterRow } from './cluster-report.ts'
import { inDirectory } from './directory.ts'
import { SteadyLoad } from './load.ts'
import { PeerProcess } from './peer-process.ts'
import type { Sample } from './rounds.ts'

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5']
const VICTIM = 'n5'
const ROUNDS = 3
const LOOK_MS = 20
/** That a process was killed is noticed within some milliseconds. */
const NOTICE_LOOK_MS = 1
const PATIENCE_MS = 60_000
/** The load is watched for so long before a node is killed, and at least for so long after. */
const BEFORE_MS = 1500
const AFTER_MS = 1500
/** The service is full when in such a time nothing fails and the median is at most twice what it was. */
const WINDOW_MS = 500
const STEP_MS = 10

/**
 * When everyone knows that one of five is dead, by the defaults of the failure detector: two periods until each has
 * probed it (three of four others in each), a direct and an indirect probe, and the shortest suspicion.
 */
const NOTICED_BY_MS = 2 * 500 + 2 * 300 + 1000

interface Fleet {
  readonly peers: Map<string, PeerProcess>
  readonly open: (name: string) => Promise<PeerProcess>
}

interface Times {
  readonly serviceMs: number
  readonly noticedMs: number
  /** From the start of the process that takes its place. */
  readonly servesMs: number
  readonly wholeMs: number
  /** From its death, with the time that nobody started it in. */
  readonly totalMs: number
  readonly limits: { readonly processMs: number; readonly copyMs: number; readonly idleMs: number }
}

/**
 * Five processes over TLS under load, of which one is killed and comes back. `bytesPerSecond` is what a move was
 * measured to do.
 */
export function failureRows(
  { packages, bytesPerSecond }: { readonly packages: string; readonly bytesPerSecond: number },
  onRow: (row: ClusterRow) => void,
): Promise<void> {
  return inDirectory(async (directory) => {
    const fleet = await openFleet(directory, packages)
    const load = new SteadyLoad(survivorsOf(fleet))
    try {
      await load.start()
      const rounds: Times[] = []
      for (let round = 0; round < ROUNDS; round++)
        rounds.push(await killAndReturn({ fleet, load, packages, bytesPerSecond }))
      await load.stop()
      report(rounds, onRow)
    } finally {
      for (const peer of fleet.peers.values()) await peer.kill()
    }
  })
}

function report(rounds: readonly Times[], onRow: (row: ClusterRow) => void): void {
  const row = (name: string, limitIs: string, pairOf: (times: Times) => readonly [number, number]) => {
    const pairs = rounds.map(pairOf)
    const side = (at: 0 | 1): readonly Sample[] => pairs.map((pair) => ({ figure: pair[at] }))
    onRow(clusterRow({ name, concurrency: 4, unit: 'ms', limitIs }, { subject: side(0), limit: side(1) }))
  }
  const bound = 'what the failure detector promises'
  row('kill -9 to full service', bound, ({ serviceMs }) => [serviceMs, NOTICED_BY_MS])
  row('kill -9 to all having noticed', bound, ({ noticedMs }) => [noticedMs, NOTICED_BY_MS])
  row('start to serving again', 'a process with the same modules', ({ servesMs, limits }) => {
    return [servesMs, limits.processMs]
  })
  row('start to full redundancy', 'that, and a move of as many bytes', ({ wholeMs, limits }) => {
    return [wholeMs, limits.processMs + limits.copyMs]
  })
  row(
    'kill -9 to full redundancy',
    'all of that, and the time until it is started',
    ({ totalMs, limits }) => {
      return [totalMs, limits.idleMs + limits.processMs + limits.copyMs]
    },
  )
}

interface Scene {
  readonly fleet: Fleet
  readonly load: SteadyLoad
  readonly packages: string
  readonly bytesPerSecond: number
}

async function killAndReturn({ fleet, load, packages, bytesPerSecond }: Scene): Promise<Times> {
  const processMs = await processStart(packages)
  const survivors = survivorsOf(fleet)
  await pause(BEFORE_MS)
  load.takeWritten()
  const killedMs = performance.now()
  await fleet.peers.get(VICTIM)?.kill()
  const isUpFor = async (peer: PeerProcess) => (await peer.ask('up')).includes(VICTIM)
  const isNoticed = async () => !(await some(survivors, isUpFor))
  await until(isNoticed, 'a dead node is believed to be up', NOTICE_LOOK_MS)
  const noticedMs = performance.now() - killedMs
  await pause(AFTER_MS)
  load.writes = false
  await load.answered()
  const { medianMs } = load.between(killedMs - BEFORE_MS, killedMs)
  const serviceMs = serviceAfter(load, { killedMs, medianMs })
  const missed = await recordsOf(survivors, load.takeWritten())

  const startedMs = performance.now()
  const back = await fleet.open(VICTIM)
  await back.ask('get', 'known 0')
  const servesMs = performance.now() - startedMs
  const all = [...fleet.peers.values()]
  const isWhole = async () => {
    if ((await back.ask('lacking', missed.records)) > 0) return false
    return !(await some(all, async (peer) => (await peer.ask('foreign')) > 0))
  }
  await until(isWhole, 'replicas are not where they belong')
  const wholeMs = performance.now() - startedMs
  const share = (await back.ask('share', missed.records)) / missed.records.length
  await until(async () => every(survivors, isUpFor), 'a node that is back is believed to be down')
  load.writes = true
  const copyMs = (1000 * share * missed.bytes) / bytesPerSecond
  const idleMs = startedMs - killedMs
  return {
    serviceMs,
    noticedMs,
    servesMs,
    wholeMs,
    totalMs: idleMs + wholeMs,
    limits: { processMs, copyMs, idleMs },
  }
}

interface Death {
  readonly killedMs: number
  /** Of the requests before. */
  readonly medianMs: number
}

/** The end of the last step in which a window of full service had not begun. */
function serviceAfter(load: SteadyLoad, { killedMs, medianMs: before }: Death): number {
  for (let ms = 0; killedMs + ms + WINDOW_MS < performance.now(); ms += STEP_MS) {
    const { failed, medianMs } = load.between(killedMs + ms, killedMs + ms + WINDOW_MS)
    if (failed === 0 && medianMs <= 2 * before) return ms + STEP_MS
  }
  throw new Error(
    `the service is not what it was ${Math.round(performance.now() - killedMs)} ms after a death`,
  )
}

interface Missed {
  readonly records: readonly KeyId[]
  readonly bytes: number
}

async function recordsOf(
  peers: readonly PeerProcess[],
  { keys, bytes }: ReturnType<SteadyLoad['takeWritten']>,
): Promise<Missed> {
  const asked = keys.map((key, at) => peers[at % peers.length]?.ask('recordsOf', key) ?? [])
  return { records: (await Promise.all(asked)).flat(), bytes }
}

/** How long it takes until a process runs that imports what the process of a node imports. */
async function processStart(packages: string): Promise<number> {
  const startedMs = performance.now()
  const peer = new PeerProcess(packages)
  await peer.started
  await peer.ask('imports')
  const ms = performance.now() - startedMs
  await peer.kill()
  return ms
}

/** The first node begins a cluster, and the others join it. */
async function openFleet(directory: string, packages: string): Promise<Fleet> {
  const files = await certificates(NAMES)
  const peers = new Map<string, PeerProcess>()
  let seeds: Readonly<Record<string, string>> = {}
  const open = async (name: string) => {
    const peer = new PeerProcess(packages)
    peers.set(name, peer)
    await peer.started
    const address = await peer.ask('open', {
      name,
      path: join(directory, name),
      way: { tls: files.get(name) },
      seeds,
    })
    if (Object.keys(seeds).length === 0) seeds = { [name]: address }
    return peer
  }
  try {
    for (const name of NAMES) await open(name)
    const [first] = peers.values()
    await first?.ask('move')
    await first?.ask('createBucket')
  } catch (error) {
    for (const peer of peers.values()) await peer.kill()
    throw error
  }
  return { peers, open }
}

function survivorsOf({ peers }: Fleet): readonly PeerProcess[] {
  return [...peers].flatMap(([name, peer]) => (name === VICTIM ? [] : [peer]))
}

type Test = (peer: PeerProcess) => Promise<boolean>

async function some(peers: readonly PeerProcess[], test: Test): Promise<boolean> {
  return (await Promise.all(peers.map(test))).includes(true)
}

async function every(peers: readonly PeerProcess[], test: Test): Promise<boolean> {
  return !(await some(peers, async (peer) => !(await test(peer))))
}

async function until(test: () => Promise<boolean>, otherwise: string, lookMs = LOOK_MS): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS
  while (!(await test())) {
    if (performance.now() > endMs) throw new Error(`${otherwise}, for ${PATIENCE_MS} ms`)
    await pause(lookMs)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
