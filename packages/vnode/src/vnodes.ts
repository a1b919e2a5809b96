import type { Admission } from '@atoll/core'
import { readBytes } from './database.ts'
import type { Gates } from './gates.ts'
import { HandoffVnode } from './handoff-vnode.ts'
import { VnodeLayout } from './layout.ts'
import { Vnode, type VnodeParts } from './vnode.ts'

export interface VnodesParts {
  /** What all of them share. */
  readonly shared: VnodeParts
  readonly gates: Gates
  readonly admission: Admission
}

/** The vnodes of a host, by partition: each is made when it is first asked for. */
export class Vnodes {
  readonly #parts: VnodesParts
  readonly #made = new Map<number, Vnode>()
  readonly #drops = new Map<number, Promise<void>>()

  constructor(parts: VnodesParts) {
    this.#parts = parts
  }

  of(partition: number): Vnode {
    const known = this.#made.get(partition)
    if (known !== undefined) return known
    const { gates, shared } = this.#parts
    const vnode = new Vnode(partition, shared)
    if (gates.get(partition) !== undefined) vnode.startNoting()
    this.#made.set(partition, vnode)
    return vnode
  }

  /** Vnodes that were being handed over, or were already, are served as such from the first request on. */
  async resume(partitions: number): Promise<void> {
    await Promise.all(Array.from({ length: partitions }, (_, partition) => this.#resume(partition)))
  }

  async #resume(partition: number): Promise<void> {
    const { gates, shared, admission } = this.#parts
    const vnode = new Vnode(partition, shared)
    const note = await new HandoffVnode(partition, () => vnode, { ...shared, admission }).readTransfer()
    if (note === undefined) return
    vnode.startNoting()
    this.#made.set(partition, vnode)
    const phase = note.phase === 'sealed' ? 'resealing' : 'copying'
    gates.set(partition, { to: note.to, phase, isReturn: note.isReturn })
  }

  /**
   * While records are filed anew nothing is on its way to another node. A build before has begun to file them all the same,
   * and its notes of that name partitions of another ring.
   */
  async forgetTransfers(partitions: number): Promise<void> {
    const { committer, database } = this.#parts.shared
    const keys = Array.from({ length: partitions }, (_, partition) => new VnodeLayout(partition).transferKey)
    const stored = await Promise.all(keys.map((key) => readBytes(database, key)))
    const stale = keys.filter((_, partition) => stored[partition] !== undefined)
    if (stale.length > 0) await committer.commit(stale.map((key) => ({ type: 'del', key })))
  }

  /** Deletes a vnode with all that it has, and with what other nodes miss of it; a second call joins the first. */
  drop(partition: number): Promise<void> {
    const { digests, hints } = this.#parts.shared
    const drop =
      this.#drops.get(partition) ??
      this.of(partition)
        .drop()
        .then(() => hints.drop(partition))
        .finally(() => {
          digests.clear()
          this.#made.delete(partition)
          this.#drops.delete(partition)
        })
    this.#drops.set(partition, drop)
    return drop
  }

  /** Each is a new actor from now on. */
  renew(): void {
    for (const vnode of this.#made.values()) vnode.renew()
  }

  /** Resolves when what was under way is over, one way or the other. */
  async idle(): Promise<void> {
    const underWay = [...this.#made.values()].map((vnode) => vnode.idle())
    await Promise.allSettled([...underWay, ...this.#drops.values()])
  }

  clear(): void {
    this.#made.clear()
  }
}
