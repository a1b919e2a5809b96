import { AtollError, isAtollError, utf8 } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { NodesPort, Prng } from '@atoll/sim'
import { bounceAll } from './bounce.ts'
import { type ChangeKind, namesToCome, type PlannedChange } from './change-plan.ts'
import { restoreAll, startBeside } from './copies.ts'
import { isUnreadable } from './hands.ts'
import { BUCKET, recordId } from './names.ts'
import { replicasOfSets } from './options.ts'
import { putBack } from './put-back.ts'
import { raise } from './raise.ts'
import { newestDocument, objectKeys, REGISTERS_TYPE, type Scene, SETS_TYPE, setKeys } from './scene.ts'
import { lookAtSet } from './set-work.ts'
import { upgradeAll } from './upgrade.ts'

/** Members that hold data are never fewer. */
const LEAST_MEMBERS = 3
const MOST_REPLICAS = 5
const MOST_PARTITIONS = 128
const DRAIN_MS = 5
/** A node that only starts slowly is not gone on without. */
const PATIENCE_MS = 30_000
/** For how long another cluster listens where a node was. */
const IMPOSTOR_MS = 3000

/** Where to force a change, and whom to name as missing, as a refusal says. */
interface WayOut {
  readonly on: string
  readonly missing: readonly string[]
}

interface Means {
  readonly nodes: NodesPort
  /** Of which the disks may rot. */
  readonly damaged: ReadonlySet<string>
}

/** Changes the cluster while it is in use. What fails, for lack of a quorum or of a node, is tried again later. */
export class Operator {
  readonly #scene: Scene
  readonly #nodes: NodesPort
  readonly #damaged: ReadonlySet<string>
  readonly #prng: Prng
  readonly #plan: readonly PlannedChange[]
  readonly #free: string[]
  /** Nodes that were to be added, and may have joined or not. */
  readonly #coming = new Set<string>()
  /** The epoch in which each node that was added was a member: who has heard of less does not know it yet. */
  readonly #memberSince = new Map<string, number>()
  readonly #markedDown = new Set<string>()
  /** What the last refusal said of how to go on without a majority. */
  #told: WayOut | undefined
  /** Since when refusals say so, and nothing else can be done. */
  #toldSinceMs: number | undefined

  constructor(scene: Scene, { nodes, damaged }: Means, plan: readonly PlannedChange[]) {
    this.#scene = scene
    this.#nodes = nodes
    this.#damaged = damaged
    this.#prng = scene.world.prng.fork('operator')
    this.#plan = plan
    this.#free = [...namesToCome(scene.options, plan)]
  }

  async run(): Promise<void> {
    const { clock } = this.#scene.world.runtime('operator')
    const startMs = clock.monotonicMs()
    for (const step of this.#plan) {
      await clock.sleep(Math.max(0, startMs + step.atMs - clock.monotonicMs()))
      await this.#try(step.kind, () => this.#begin(step))
      if (step.commits) await this.#commit(step.rivals)
      await this.#dismiss()
    }
  }

  /** Brings everything to its end that was begun, as far as it goes now; answers what is left. */
  async finish(): Promise<readonly string[]> {
    await upgradeAll(this.#scene, { nodes: this.#nodes, prng: this.#prng })
    for (const name of [...this.#coming]) await this.#try(`add ${name}`, () => this.#add(name))
    for (const name of this.#scene.cluster.names) await this.#nodes.restart(name)
    if (this.#scene.cluster.nodes.length === 0) return ['no node runs']
    await this.#goOnAsToldTo()
    // Also those of which nobody knew whether it was decided that they are down.
    for (const { node, state } of newestDocument(this.#scene.cluster).members.values()) {
      if (state === 'down' && this.#scene.cluster.names.includes(node))
        await this.#try(`${node} is up`, () => this.#up(node))
    }
    await this.#releaseLost()
    await this.#commit(false)
    await this.#releaseDeserters()
    await this.#dismiss({ atLast: true })
    const { members, staged } = newestDocument(this.#scene.cluster)
    const unsettled = [...members.values()].filter(({ state }) => state !== 'valid')
    return [
      ...[...this.#coming].map((name) => `${name} has not joined`),
      ...unsettled.map(({ node, state }) => `${node} is ${state}`),
      ...staged.map((change) => `staged: ${JSON.stringify(change)}`),
      ...this.#departed().map((name) => `${name} has left and runs`),
    ]
  }

  async #begin({ kind }: PlannedChange): Promise<void> {
    await this.#carryOut(kind)
    this.#scene.world.runtime('operator').probe.mark(`change.${kind}`)
  }

  async #carryOut(kind: ChangeKind): Promise<void> {
    switch (kind) {
      case 'join':
        await this.#add(this.#take())
        return
      case 'leave':
        await this.#speaker().cluster.stage({ kind: 'leave', node: this.#dispensable(1) })
        return
      case 'replace':
        return this.#replace(this.#take())
      case 'desert':
        return this.#desert(this.#take())
      case 'zone': {
        const zone = `z${this.#prng.below(3)}`
        await this.#speaker().cluster.stage({ kind: 'zone', node: this.#dispensable(0), zone })
        return
      }
      case 'resize': {
        const partitions = newestDocument(this.#scene.cluster).ring.partitions * 2
        if (partitions > MOST_PARTITIONS) return
        await this.#speaker().cluster.stage({ kind: 'resize', partitions })
        return
      }
      case 'force':
        return this.#force()
      case 'impostor':
        return this.#impostor(this.#dispensable(1))
      case 'down': {
        for (const name of [...this.#markedDown]) await this.#up(name)
        const node = this.#dispensable(1)
        this.#markedDown.add(node)
        this.#scene.world.note(`operator says that ${node} is down`)
        await this.#speaker().cluster.down(node)
        return
      }
      case 'type': {
        const type = this.#prng.pick([SETS_TYPE, REGISTERS_TYPE])
        await this.#setReplicas(type, this.#prng.between(2, MOST_REPLICAS))
        await this.#look(type)
        return
      }
      case 'raise': {
        const [speaker, setReplicas] = [() => this.#speaker(), this.#setReplicas.bind(this)]
        return raise(this.#scene, { prng: this.#prng, speaker, setReplicas })
      }
      case 'restore-all':
        this.#checkSound()
        return restoreAll(this.#scene, { nodes: this.#nodes, prng: this.#prng })
      case 'bounce':
        return bounceAll(this.#scene, { nodes: this.#nodes, prng: this.#prng })
      case 'upgrade':
        return upgradeAll(this.#scene, { nodes: this.#nodes, prng: this.#prng })
      case 'twin':
        this.#checkSound()
        return startBeside(this.#scene, this.#dispensable(0), { nodes: this.#nodes, prng: this.#prng })
      case 'put-back':
        this.#checkSound()
        return putBack(this.#scene, this.#dispensable(0), { nodes: this.#nodes, prng: this.#prng })
    }
  }

  async #setReplicas(type: string, n: number): Promise<void> {
    const { allowance, cluster } = this.#scene
    allowance.widenings += Math.max(0, n - newestDocument(cluster).width)
    await this.#speaker().cluster.setBucketType(type, { n })
  }

  /** The data of one node may be lost in a run, and no more. */
  #checkSound(): void {
    if (this.#damaged.size > 0 || replicasOfSets(this.#scene.options) === 1)
      throw new AtollError(
        'ATOLL_CHANGE_REFUSED',
        'a disk is damaged in this run, or one replica is all that there is',
      )
  }

  /**
   * A majority loses its power at once, and one that is left decides without it. Nobody starts those who are missing
   * meanwhile: that is what the operator has to see to.
   */
  async #force(): Promise<void> {
    const { cluster, grounded, world } = this.#scene
    const document = newestDocument(cluster)
    const voters = [...document.members.values()].filter(({ state }) => state !== 'joining')
    const ready = voters.filter(
      ({ node }) => cluster.names.includes(node) && cluster.isRunning(node) && !world.isFrozen(node),
    )
    const isSettled = cluster.nodes.every(({ placement }) => placement.epoch === document.epoch)
    if (ready.length < voters.length || !isSettled || voters.some(({ state }) => state !== 'valid'))
      throw new AtollError('ATOLL_CHANGE_REFUSED', 'some do not know what was decided last')
    const left = this.#prng.sample(voters, Math.floor(voters.length / 2))
    const missing = voters.filter((voter) => !left.includes(voter)).map(({ node }) => node)
    for (const node of missing) grounded.add(node)
    try {
      await Promise.all(missing.map((node) => this.#nodes.crash(node)))
      const [speaker] = left
      if (speaker === undefined || !cluster.isRunning(speaker.node)) return
      world.note(`operator forces without ${missing.join(', ')}`)
      await cluster.node(speaker.node).cluster.force([], { missing, reason: 'the lights are out there' })
    } finally {
      for (const node of missing) grounded.delete(node)
      await Promise.all(missing.map((node) => this.#nodes.restart(node)))
    }
  }

  /** What is in the other cluster must not be seen in this one, and it must not count for anything. */
  async #impostor(name: string): Promise<void> {
    const { bodies, cluster, grounded, impostor, options, world } = this.#scene
    if (!cluster.isRunning(name) || world.isFrozen(name))
      throw new AtollError('ATOLL_CHANGE_REFUSED', `${name} does not run`)
    grounded.add(name)
    try {
      await this.#nodes.crash(name)
      await using other = await impostor(name)
      world.note(`${name} is another cluster now`)
      const [node] = other.nodes
      const { clock } = world.runtime('operator')
      await node?.objects.createBucket(BUCKET)
      for (const key of objectKeys(options)) {
        const { bytes } = bodies.make(`of another cluster ${key}`, 100, this.#prng)
        await node?.objects.put(BUCKET, key, bytes)
        await node?.kv.put(recordId(SETS_TYPE, key.replace('o', 's')), { value: utf8('stranger') })
      }
      await clock.sleep(this.#prng.between(1, IMPOSTOR_MS))
    } finally {
      world.note(`${name} is itself again`)
      grounded.delete(name)
      await this.#nodes.restart(name)
    }
  }

  /** Reads at once by the new quorum what was written by the old one. */
  async #look(type: string): Promise<void> {
    if (type !== SETS_TYPE) return
    const look = (key: string) => lookAtSet(this.#scene, { client: 'operator', key, node: this.#speaker() })
    await Promise.all(setKeys(this.#scene.options).map(look))
  }

  async #replace(by: string): Promise<void> {
    const node = this.#dispensable(0)
    await this.#add(by)
    await this.#speaker().cluster.stage({ kind: 'replace', node, by })
  }

  /** The node is staged to join, and gone for good. Only a commit says so. */
  async #desert(name: string): Promise<void> {
    await this.#add(name)
    await this.#nodes.crash(name)
    await this.#scene.cluster.forget(name)
    this.#scene.world.note(`${name} is gone for good`)
  }

  async #add(name: string): Promise<void> {
    const { cluster, struck, world } = this.#scene
    this.#coming.add(name)
    if (!cluster.names.includes(name)) {
      struck.delete(name)
      try {
        await cluster.add(name)
        if (struck.has(name)) await this.#nodes.crash(name)
        if (struck.has(name)) await this.#nodes.restart(name)
      } catch (error) {
        if (isAtollError(error)) await this.#makeWay(name, error)
        throw error
      }
    }
    if (cluster.isRunning(name)) this.#memberSince.set(name, cluster.node(name).cluster.document.epoch)
    world.note(`${name} has joined`)
    this.#coming.delete(name)
  }

  /** For one that has lost its disk while it joined, so that the cluster knows it by another id, or has a damaged one. */
  async #makeWay(name: string, error: AtollError): Promise<void> {
    const { cluster } = this.#speaker()
    const { members, staged } = cluster.document
    const isRefused = error.code === 'ATOLL_CHANGE_REFUSED' || error.code === 'ATOLL_FORMAT'
    const { id } = error.details
    if (isRefused && staged.some((change) => 'node' in change && change.node === name))
      await cluster.unstage(name)
    else if (isRefused && typeof id === 'string' && members.has(name))
      await cluster.stage({ kind: 'force-replace', node: name, by: name, id })
    else if (isUnreadable(error) && this.#damaged.has(name)) this.#scene.world.disk(name).wipe()
  }

  async #up(name: string): Promise<void> {
    await this.#speaker().cluster.up(name)
    this.#markedDown.delete(name)
  }

  /** Commits what is staged: on one node, or on two at the same time, of which one may find that its plan is stale. */
  async #commit(rivals: boolean): Promise<void> {
    const one = () => this.#try('commit', async () => this.#commitOn(this.#speaker()))
    await Promise.all(rivals ? [one(), one()] : [one()])
  }

  async #commitOn(node: AtollNode): Promise<void> {
    const { allowance } = this.#scene
    if (node.cluster.document.staged.length === 0) return
    const plan = await node.cluster.plan()
    const before = allowance.copies
    // Counted before it is known to be decided: a commit of unknown outcome may be decided yet.
    allowance.copies += plan.moved
    try {
      await node.cluster.commit(plan, { allowViolations: true })
    } catch (error) {
      if (isAtollError(error) && error.definite) allowance.copies -= plan.moved
      throw error
    }
    this.#scene.world.note(`${node.name} has committed a plan of ${plan.moved} copies, after ${before}`)
  }

  /**
   * Turns off the nodes that have left, once their clients have gone; at last those, too, that left while they were
   * down.
   */
  async #dismiss({ atLast = false } = {}): Promise<void> {
    const { cluster, doors, world } = this.#scene
    const { clock } = world.runtime('operator')
    for (const name of this.#departed()) {
      doors.close(name)
      while (doors.inside(name) > 0) await clock.sleep(DRAIN_MS)
      if (!atLast && !cluster.isRunning(name)) continue
      world.note(`${name} has left`)
      await cluster.forget(name)
    }
  }

  /** Those of which the others know that they have left: what a node alone knows dies with it. */
  #departed(): readonly string[] {
    const { cluster } = this.#scene
    return cluster.names.filter((name) => {
      const others = cluster.nodes.filter((node) => node.name !== name)
      if (others.length === 0 || this.#coming.has(name)) return false
      const { epoch, members } = newestDocument({ nodes: others })
      return epoch >= (this.#memberSince.get(name) ?? 0) && !members.has(name)
    })
  }

  /** A node that knows that it has left does not start any more, though the others may still wait for it. */
  async #releaseLost(): Promise<void> {
    const { cluster } = this.#scene
    for (const { node, state } of newestDocument(cluster).members.values()) {
      if (state !== 'exiting' || cluster.isRunning(node)) continue
      await this.#try(`let ${node} go`, async () => {
        await this.#speaker().cluster.stage({ kind: 'force-remove', node })
      })
    }
  }

  /** What is refused at the end for lack of a majority says what to do about it. */
  async #goOnAsToldTo(): Promise<void> {
    const { cluster, refusals, world } = this.#scene
    for (const name of cluster.names) this.#hear(refusals.get(name)?.message ?? '')
    const told = this.#told
    this.#told = undefined
    const isRunning = (name: string) => cluster.names.includes(name) && cluster.isRunning(name)
    // What can be started has been started.
    const isDue = told !== undefined && isRunning(told.on) && !told.missing.every(isRunning)
    const nowMs = world.runtime('operator').clock.monotonicMs()
    this.#toldSinceMs = isDue ? (this.#toldSinceMs ?? nowMs) : undefined
    if (told === undefined || nowMs - (this.#toldSinceMs ?? nowMs) < PATIENCE_MS) return
    const { on, missing } = told
    world.note(`operator forces on ${on}, as told, without ${missing.join(', ')}`)
    world.runtime('operator').probe.mark('operator.forces-as-told')
    await this.#try('go on without a majority', async () => {
      await cluster.node(on).cluster.force([], { missing, reason: 'they are gone, or what they knew is' })
    })
  }

  #hear(message: string): void {
    const [, on, missing] = /force the change on (\w+) with missing: ([\w, ]+)/.exec(message) ?? []
    if (on !== undefined && missing !== undefined) this.#told = { on, missing: missing.split(', ') }
  }

  /**
   * As the refusal of a commit says: who joins and never comes is taken out of the plan. One that was let in before is
   * lost.
   */
  async #releaseDeserters(): Promise<void> {
    const { cluster } = this.#scene
    const { members, staged } = newestDocument(cluster)
    const goes = (name: string) =>
      staged.some((change) => change.kind === 'force-remove' && change.node === name)
    for (const { node, state } of members.values()) {
      if (cluster.names.includes(node) || this.#coming.has(node) || goes(node)) continue
      await this.#try(`give ${node} up`, async () => {
        const speaker = this.#speaker().cluster
        if (state === 'joining') await speaker.unstage(node)
        else await speaker.stage({ kind: 'force-remove', node })
      })
    }
  }

  #take(): string {
    const name = this.#free.shift()
    if (name === undefined) throw new Error('there is a name for every node that comes')
    return name
  }

  /** A member that the cluster can do without, when all that is staged is done. */
  #dispensable(less: number): string {
    const { members, staged } = newestDocument(this.#scene.cluster)
    const going = new Set(staged.flatMap((change) => (change.kind === 'resize' ? [] : [change.node])))
    const staying = [...members.values()].filter(({ node, state }) => state === 'valid' && !going.has(node))
    if (staying.length === 0 || staying.length - less < LEAST_MEMBERS)
      throw new AtollError('ATOLL_CHANGE_REFUSED', 'no member can be done without')
    return this.#prng.pick(staying).node
  }

  /** Any member that runs. */
  #speaker(): AtollNode {
    const { cluster, world } = this.#scene
    const isAwake = ({ name }: AtollNode) => !world.isFrozen(name)
    const speakers = cluster.nodes.filter(
      (node) => isAwake(node) && node.cluster.document.members.has(node.name),
    )
    if (speakers.length === 0) throw new AtollError('ATOLL_UNREACHABLE', 'no node runs')
    return this.#prng.pick(speakers)
  }

  async #try(what: string, run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (!isAtollError(error)) throw error
      this.#hear(error.message)
      this.#scene.world.note(`operator cannot yet: ${what}: ${error.code} ${error.message}`)
    }
  }
}
