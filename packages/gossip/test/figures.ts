import { DEFAULT_GOSSIP_OPTIONS } from '../src/options.ts'
import { Swarm, type SwarmNode } from './swarm.ts'

const { periodMs } = DEFAULT_GOSSIP_OPTIONS
const MINUTE = 60_000

export interface Size {
  readonly nodes: number
  readonly seed?: number
  /** Messages lost, of a thousand; default 50. */
  readonly lossPermille?: number
}

function started({ nodes, seed = 1, lossPermille = 50 }: Size): Swarm {
  const swarm = new Swarm({ nodes, seed, lossPermille })
  swarm.run(2 * periodMs)
  return swarm
}

/** Rounds until a new document, and a new fact, is everywhere; and what that costs. */
export function spreading(size: Size) {
  const swarm = started(size)
  const [first, second] = [swarm.nodes[0]!, swarm.nodes[1]!]
  const [sinceMs, messages] = [swarm.nowMs, swarm.messages]
  swarm.setDocument(first, 2)
  swarm.publish(second, 'disk', 'full')
  const everybody = (holds: (node: SwarmNode) => boolean) => swarm.nodes.every(holds)
  let [documentMs, factMs] = [Number.NaN, Number.NaN]
  const done = () => {
    if (Number.isNaN(documentMs) && everybody((node) => node.version === 2))
      documentMs = swarm.nowMs - sinceMs
    const hasFact = (node: SwarmNode) => node.machine.factsOf(second.name).has('disk')
    if (Number.isNaN(factMs) && everybody(hasFact)) factMs = swarm.nowMs - sinceMs
    return documentMs + factMs > 0
  }
  swarm.runUntil(done, periodMs / 10, MINUTE)
  const rounds = (swarm.nowMs - sinceMs) / periodMs
  return {
    documentRounds: documentMs / periodMs,
    factRounds: factMs / periodMs,
    log2: Math.log2(size.nodes),
    messagesPerNodeRound: (swarm.messages - messages) / rounds / size.nodes,
  }
}

/** Messages for each node and round where nothing happens, and how large they are. */
export function atRest(size: Size, rounds: number) {
  const swarm = started(size)
  const [messages, digests] = [swarm.messages, swarm.digests]
  swarm.run(rounds * periodMs)
  const sent = swarm.messages - messages
  return {
    messagesPerNodeRound: sent / rounds / size.nodes,
    digestsPerMessage: (swarm.digests - digests) / sent,
  }
}

/** What goes wrong in `minutes` with nobody dead. */
export function falseVerdicts(size: Size, minutes: number) {
  const swarm = started(size)
  swarm.run(minutes * MINUTE)
  const suspected = swarm.verdicts.filter(({ to }) => to === 'suspect')
  const incarnations = swarm.refutations
  const deaths = swarm.verdicts.filter(({ to }) => to === 'dead').length
  const nodeHours = (size.nodes * minutes) / 60
  return { nodeHours, suspicions: incarnations, beliefs: suspected.length, deaths }
}

/** How long it takes until the first node takes a dead one for dead, and until all do: median and maximum over `deaths`. */
export function detection(size: Size, deaths: number) {
  const swarm = started(size)
  const [firstMs, allMs]: number[][] = [[], []]
  for (const victim of swarm.nodes.slice(1, 1 + deaths)) {
    swarm.run(2000)
    swarm.crash(victim)
    const alive = swarm.nodes.filter((node) => !node.crashed)
    const isDead = (node: SwarmNode) => node.machine.statusOf(victim.name) === 'dead'
    const first = swarm.runUntil(() => alive.some(isDead), 20, MINUTE) ?? Number.NaN
    firstMs!.push(first)
    allMs!.push(first + (swarm.runUntil(() => alive.every(isDead), 20, MINUTE) ?? Number.NaN))
  }
  return { firstMs: summary(firstMs!), allMs: summary(allMs!) }
}

/** What others believe, in the wrong, after one node stood still: verdicts on any other node, and on it once it goes on. */
export function afterStall(size: Size, stallMs: number) {
  const swarm = started(size)
  const [stalled] = swarm.nodes
  swarm.run(2000)
  swarm.stall(stalled!, stallMs)
  swarm.run(stallMs)
  const wokenMs = swarm.nowMs
  swarm.run(10_000)
  const wrong = swarm.verdicts.filter(({ node }) => node !== stalled!.name)
  const by = (verdicts: typeof wrong) => verdicts.filter((verdict) => verdict.by === stalled!.name)
  return {
    deaths: wrong.filter(({ to }) => to === 'dead').length,
    accusedByStalled: by(wrong).filter(({ atMs, to }) => atMs >= wokenMs && to !== 'alive').length,
    stillDown: swarm.nodes.filter((node) => !node.machine.isUp(stalled!.name)).length,
  }
}

function summary(values: readonly number[]) {
  const sorted = [...values].sort((a, b) => a - b)
  return { median: sorted[sorted.length >> 1]!, max: sorted.at(-1)! }
}
