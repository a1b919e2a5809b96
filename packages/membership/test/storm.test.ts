import { equalBytes, isAtollError } from '@atoll/core'
import { expect, test } from 'vitest'
import { type ClusterDocument, type Membership, setBucketType } from '../src/index.ts'
import { Sea } from './world.ts'

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']
const STORM_MS = 8000

interface Outcome {
  readonly conflicts: readonly number[]
  readonly converged: boolean
  readonly epochs: number
  /** Edits that were acknowledged and are not there, or certainly did not happen and are there. */
  readonly wrong: readonly string[]
  readonly twice: readonly string[]
  readonly acknowledged: number
}

const has = (document: ClusterDocument | undefined, name: string) => document?.bucketTypes.has(name) === true

/** Every node proposes, some join and leave, while machines crash and the network splits and loses. Then all heals. */
async function storm(seed: number): Promise<Outcome> {
  const sea = new Sea(seed, { network: { lossPerMillion: 30_000, duplicatePerMillion: 20_000 } })
  const { world } = sea
  const done: string[] = []
  const never: string[] = []
  const { clock } = world.runtime('test')

  const propose = async (node: string) => {
    const prng = world.prng.fork(`proposals of ${node}`)
    for (let at = 0; world.nowMs < STORM_MS; at++) {
      await clock.sleep(prng.below(600))
      const membership = sea.machine(node).membership
      if (membership === undefined) continue
      const name = `${node}-${at}`
      const edit = (document: ClusterDocument) =>
        setBucketType(document, { name, bytes: new Uint8Array([at]), n: 3 })
      await membership.propose(edit, { timeoutMs: 1000 + prng.below(2000) }).then(
        () => done.push(name),
        (error: unknown) => isAtollError(error) && error.definite && never.push(name),
      )
    }
  }
  const reshape = async () => {
    const prng = world.prng.fork('reshape')
    while (world.nowMs < STORM_MS) {
      await clock.sleep(500 + prng.below(1000))
      const node = NODES[prng.below(NODES.length)] ?? ''
      const change = (membership: Membership) =>
        membership.isMember
          ? membership.stage({ kind: 'leave', node }, { timeoutMs: 1000 })
          : membership.join({
              seeds: NODES.filter((seed) => seed !== node),
              address: `${node}:1`,
              timeoutMs: 1000,
            })
      const membership = sea.machine(node).membership
      if (membership === undefined || sea.members.length < 3) continue
      await change(membership).catch(() => {})
      const committer = sea.members[0]
      if (committer?.document === undefined || committer.document.staged.length === 0) continue
      await Promise.resolve()
        .then(() => committer.commit(committer.plan(), { timeoutMs: 1000 }))
        .catch(() => {})
    }
  }
  const trouble = async () => {
    const prng = world.prng.fork('trouble')
    while (world.nowMs < STORM_MS) {
      await clock.sleep(prng.below(800))
      const victims = prng.sample(NODES, 1 + prng.below(2))
      if (prng.below(2) === 0) {
        const others = NODES.filter((node) => !victims.includes(node))
        sea.split(victims, others, { oneWay: prng.below(3) === 0 })
        await clock.sleep(prng.below(1500))
        sea.network.heal()
        sea.network.configure({ lossPerMillion: 30_000, duplicatePerMillion: 20_000 })
      } else {
        for (const victim of victims) await sea.machine(victim).crash()
        await clock.sleep(prng.below(1000))
        for (const victim of victims) await sea.machine(victim).start()
      }
    }
  }

  let converged = false
  let last: ClusterDocument | undefined
  await world.run(async () => {
    await sea.begin(NODES)
    await Promise.all([...NODES.map(propose), reshape(), trouble()])
    sea.network.heal()
    converged = await sea.converge()
    await clock.sleep(5000)
    const end = await Promise.all(
      sea.members.map((membership) =>
        membership.propose((document) =>
          setBucketType(document, { name: 'end', bytes: new Uint8Array(1), n: 3 }),
        ),
      ),
    ).catch(() => [])
    converged &&= end.length > 0 && (await sea.converge())
    last = sea.members[0]?.document
    await sea.end()
  })
  const wrong = [...done.filter((name) => !has(last, name)), ...never.filter((name) => has(last, name))]
  const outcome = { converged, epochs: last?.epoch ?? 0, wrong, acknowledged: done.length }
  return { ...outcome, conflicts: sea.conflicts, twice: appliedTwice(sea) }
}

/** Names that one epoch lacks although an earlier one had them, and epochs nobody saw. */
function appliedTwice(sea: Sea): readonly string[] {
  const epochs = [...sea.seen.keys()].sort((a, b) => a - b)
  return epochs.flatMap((epoch, at) => {
    const before = [...(sea.seen.get(epoch - 1)?.values() ?? [])][0]
    const after = [...(sea.seen.get(epoch)?.values() ?? [])][0]
    if (at === 0 || after === undefined) return []
    if (before === undefined) return [`nobody saw epoch ${epoch - 1}`]
    const kept = [...before.bucketTypes].every(([name, bytes]) =>
      equalBytes(after.bucketTypes.get(name) ?? new Uint8Array(9), bytes),
    )
    const sameProposals = before.recent.slice(1).every((id) => after.recent.includes(id))
    return kept && sameProposals ? [] : [`epoch ${epoch} does not follow ${epoch - 1}`]
  })
}

test('storms: one document per epoch, nothing acknowledged is lost, and all agree when they are over', async () => {
  let epochs = 0
  let acknowledged = 0
  for (let seed = 1; seed <= 5; seed++) {
    const outcome = await storm(seed)
    expect(outcome, `seed ${seed}`).toMatchObject({ conflicts: [], converged: true, wrong: [], twice: [] })
    epochs += outcome.epochs
    acknowledged += outcome.acknowledged
  }
  expect(acknowledged).toBeGreaterThan(100)
  expect(epochs).toBeGreaterThan(150)
})
