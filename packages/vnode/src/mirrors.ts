import { overlapping } from '@atoll/ring'

/** A node that is about to hold a partition as well, or that some may not know to hold it yet. */
export interface Mirror {
  /**
   * - `copying`: it is being filled; a write that cannot reach it spoils the copy.
   * - `firm`: it has everything, and is proposed as a holder; a write counts only if it has that, too.
   * - a number: the epoch from which on it is a holder. Who goes by that or a later one writes to it himself.
   */
  stage: 'copying' | 'firm' | number
  /** Whether it may lack a write that nobody has noted for it. */
  spoilt: boolean
  /** While it is being filled: writes that are stored here, or on their way to it, and are part of the copy. */
  readonly underWay: Set<Promise<void>>
}

/**
 * To whom writes go besides, because their coordinators do not know of them. A list of replicas that grows is not known to
 * all at once. Whoever still has the shorter one takes fewer replicas for a majority than readers do who have the longer
 * one: so a holder hands on what it writes, from before the copying begins for as long as somebody may have the old list.
 */
export class Mirrors {
  readonly #onLacking: (partition: number, node: string) => void
  readonly #mirrors = new Map<number, Map<string, Mirror>>()
  /** Of what came to lists by this epoch or an earlier one nothing is known here. */
  #sinceEpoch = 0

  /** `onLacking` is told of each holder that may lack anything of a partition, which has to be owed to it. */
  constructor(onLacking: (partition: number, node: string) => void) {
    this.#onLacking = onLacking
  }

  get isEmpty(): boolean {
    return this.#mirrors.size === 0
  }

  /** Undefined for nearly every partition. */
  of(partition: number): ReadonlyMap<string, Mirror> | undefined {
    return this.#mirrors.get(partition)
  }

  /**
   * From now on it is followed who comes to lists, which are those of this epoch. Until it is said that is so since
   * ever.
   */
  watchFrom(epoch: number): void {
    this.#sinceEpoch = epoch
  }

  /** Whether what is written by the list of `epoch` is handed on to all that came to the list of a partition since. */
  isSettled(partition: number, epoch: number): boolean {
    const mirrors = this.#mirrors.get(partition)
    if (mirrors === undefined || epoch < this.#sinceEpoch) return false
    return [...mirrors.values()].some(({ stage }) => typeof stage === 'number')
  }

  /**
   * Whether a copy that was made before has ended well, and every write of clients since has been handed on. Such a copy
   * does not begin anew: it may count as a holder already, for others than this node, and what is only being filled misses
   * writes.
   */
  isWhole(partition: number, to: string): boolean {
    const mirror = this.#mirrors.get(partition)?.get(to)
    return mirror !== undefined && mirror.stage !== 'copying' && !mirror.spoilt
  }

  /** To be called before the copying begins, or goes on: what is under way to the node belongs to it then, too. */
  begin(partition: number, to: string): void {
    const mirrors = this.#mirrors.get(partition) ?? new Map<string, Mirror>()
    const known = mirrors.get(to)
    if (known?.stage === 'copying' && !known.spoilt) return
    mirrors.set(to, { stage: 'copying', spoilt: false, underWay: new Set() })
    this.#mirrors.set(partition, mirrors)
  }

  /** The copying is done. False if a write did not reach the node meanwhile: then it has to be done again. */
  async makeFirm(partition: number, to: string): Promise<boolean> {
    const mirror = this.#mirrors.get(partition)?.get(to)
    if (mirror === undefined) return false
    // From here on every write waits for it; those before have to have arrived. Of a holder that is so already.
    if (mirror.stage === 'copying') mirror.stage = 'firm'
    await Promise.all(mirror.underWay)
    return !mirror.spoilt
  }

  /** The document of this epoch has it in the list. What it lacks it is owed, for no copy will be made of that any more. */
  settle(partition: number, to: string, epoch: number): void {
    const mirror = this.#mirrors.get(partition)?.get(to)
    if (mirror === undefined || typeof mirror.stage === 'number') return
    mirror.stage = epoch
    if (mirror.spoilt) this.#owe(partition, to, mirror)
  }

  /** A write did not reach it, and nobody has noted that. */
  spoil(mirror: Mirror): void {
    mirror.spoilt = true
    if (typeof mirror.stage !== 'number') return
    for (const [partition, mirrors] of this.#mirrors)
      for (const [to, other] of mirrors) if (other === mirror) this.#owe(partition, to, mirror)
  }

  /** The data of a node is another than it was: what was copied there may be gone. */
  lost(to: string): void {
    for (const mirrors of this.#mirrors.values()) {
      const mirror = mirrors.get(to)
      if (mirror !== undefined && typeof mirror.stage !== 'number') mirror.spoilt = true
    }
  }

  /** From now on it gets what is written again. */
  #owe(partition: number, to: string, mirror: Mirror): void {
    mirror.spoilt = false
    this.#onLacking(partition, to)
  }

  end(partition: number, to: string): void {
    const mirrors = this.#mirrors.get(partition)
    mirrors?.delete(to)
    if (mirrors?.size === 0) this.#mirrors.delete(partition)
  }

  /** Numbers of partitions are those of a ring with more of them from now on. */
  split(from: number, to: number): void {
    const before = [...this.#mirrors]
    this.#mirrors.clear()
    for (const [partition, mirrors] of before) {
      for (const part of overlapping(partition, from, to)) {
        // What is on its way to one of them may be of any part.
        this.#mirrors.set(part, new Map(mirrors))
      }
    }
  }

  /** All of them, as they are now. */
  all(): readonly { readonly partition: number; readonly to: string; readonly stage: Mirror['stage'] }[] {
    return [...this.#mirrors].flatMap(([partition, mirrors]) =>
      Array.from(mirrors, ([to, { stage }]) => ({ partition, to, stage })),
    )
  }

  clear(): void {
    this.#mirrors.clear()
  }

  /** Holders that a coordinator which goes by `epoch` does not know of: what they have, it cannot see. */
  unknownHolders(partition: number, epoch: number): string[] {
    const unknown = [...(this.#mirrors.get(partition) ?? [])].filter(([, { stage }]) =>
      isUnknown(stage, epoch),
    )
    return unknown.map(([node]) => node)
  }

  /** Those to whom a write of a coordinator that goes by `epoch` (0 for unknown) has to be handed on. */
  needing(partition: number, epoch: number): [node: string, mirror: Mirror][] {
    return [...(this.#mirrors.get(partition) ?? [])].filter(
      ([, { stage, spoilt }]) => !spoilt && (typeof stage !== 'number' || epoch < stage),
    )
  }

  /**
   * Whether somebody may have writes of which a coordinator that goes by `epoch` (0 for unknown) cannot know. Not a node
   * that is only being filled: no list names it, so all that it has came by the holders. Nor those whom that coordinator
   * asks itself.
   */
  hasStrangers(partition: number, epoch: number): boolean {
    const mirrors = [...(this.#mirrors.get(partition)?.values() ?? [])]
    return mirrors.some(({ stage }) => stage === 'firm' || isUnknown(stage, epoch))
  }

  /**
   * Makes what is written part of all copies that are being made: none of them is firm before it is over. So a write that
   * began when no stranger had anything is at every node that is listed later on, before that takes writes of its own.
   */
  partOfCopies<T>(partition: number, writing: Promise<T>): Promise<T> {
    const over = writing.then(
      () => {},
      () => {},
    )
    for (const { stage, underWay } of this.#mirrors.get(partition)?.values() ?? []) {
      if (stage !== 'copying') continue
      underWay.add(over)
      void over.then(() => underWay.delete(over))
    }
    return writing
  }
}

function isUnknown(stage: Mirror['stage'], epoch: number): boolean {
  return typeof stage === 'number' && epoch < stage
}
