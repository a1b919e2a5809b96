import { fromUtf8, utf8 } from '@atoll/core'
import {
  beginPass,
  nextPass,
  type PassAim,
  type PassEvent,
  type PassPage,
  type PassRules,
  type PassState,
  type PassStep,
  type PassTask,
} from '../src/pass-machine.ts'

/** Two records, each a page of its own. A record is a number that grows with every write; 0 if there is none. */
const KEYS = [0, 1] as const
type Records = readonly [number, number]
type Key = (typeof KEYS)[number]

/** A record as it was when its page was read. */
export interface Item {
  readonly key: Key
  readonly version: number
  readonly bytes: number
}

/** What may go wrong, and how often. */
export interface Bounds {
  readonly writes: number
  readonly crashes: number
  readonly failures: number
}

/** The vnode that is passed over, those that are offered its records, and everything that can have become of them. */
export interface PassWorld {
  readonly here: Records
  /** By place. */
  readonly there: readonly [Records, Records]
  /** What all places shall have, whatever happens. */
  readonly owed: Records
  /** The durable cursor of the refill: the key that it goes on with. */
  readonly cursor: number | undefined
  /** Bits of the keys of which there is a hint on disk. */
  readonly hinted: number
  /** Whether the whole vnode is owed, by the note on disk. */
  readonly isWhole: boolean
  /** Whether what is written now is noted by key, though the whole vnode is owed. */
  readonly isFilling: boolean
  /** Whether the places think that more of this comes. */
  readonly isExpecting: boolean
  readonly attempt: Attempt | undefined
  readonly isDone: boolean
  readonly hasFailed: boolean
  readonly left: Bounds
}

interface Attempt {
  readonly state: PassState<Item>
  readonly task: PassTask<Item>
  /** Bits of the keys that were noted since the watch began. */
  readonly touched: number
}

export type Next = typeof nextPass<Item>

export interface PassCase {
  readonly aim: PassAim
  /** The key that the places do not take, or that is damaged here. */
  readonly spoilt?: { readonly key: Key; readonly by: 'refusal' | 'damage' | 'bad row' } | undefined
  /** The whole vnode is owed to the node. */
  readonly isWhole?: boolean
}

const PLACES = [
  { node: 'n2', partition: 1 },
  { node: 'n3', partition: 1 },
] as const

export class PassWorlds {
  readonly #case: PassCase
  readonly #rules: PassRules<Item>
  readonly #next: Next

  constructor(given: PassCase, next: Next = nextPass) {
    this.#case = given
    this.#next = next
    this.#rules = {
      aim: given.aim,
      select: () => PLACES,
      nameOf: ({ key }) => `${key}`,
      nameOfHint: fromUtf8,
    }
  }

  first(left: Bounds): PassWorld {
    const { aim, isWhole = false } = this.#case
    const isHints = aim.kind === 'hints'
    return {
      here: [1, 1],
      there: [
        [0, 0],
        [1, 0],
      ],
      owed: [1, 1],
      cursor: undefined,
      hinted: isHints && !isWhole ? 0b11 : 0,
      isWhole,
      isFilling: false,
      isExpecting: false,
      attempt: undefined,
      isDone: false,
      hasFailed: false,
      left,
    }
  }

  /** Every world that may follow. */
  after(world: PassWorld): PassWorld[] {
    return [...this.#onward(world), ...this.#failures(world), ...this.#crashes(world), ...this.#writes(world)]
  }

  /** The world when nothing goes wrong; undefined at the end. */
  goesOn(world: PassWorld): PassWorld | undefined {
    return this.#onward(world)[0]
  }

  /** What must never be so. */
  faultOf(world: PassWorld): string | undefined {
    const lacking = KEYS.filter((key) => world.there.some((records) => records[key] < world.owed[key]))
    if ((world.isDone || world.hasFailed) && world.isExpecting)
      return 'the places were not told that it is over'
    if (lacking.some((key) => world.here[key] < world.owed[key])) return 'a record is lost'
    switch (this.#case.aim.kind) {
      case 'give-back':
        return world.isDone && lacking.length === 0 && world.here.some((version) => version > 0)
          ? 'what all places have is still here'
          : undefined
      case 'refill': {
        const passed = lacking.filter((key) => key < (world.cursor ?? 0) || world.isDone)
        return passed.some((key) => !this.#isSpoilt(key))
          ? 'the cursor is past what a place lacks'
          : undefined
      }
      case 'hints':
        return this.#hintFault(world, lacking)
    }
  }

  /** What the whole vnode is owed for is not noted by key, and what is passed by its cursor was offered. */
  #hintFault({ hinted, isWhole, cursor }: PassWorld, lacking: readonly Key[]): string | undefined {
    const unnoted = lacking.filter((key) => {
      if (hinted & (1 << key)) return false
      return !isWhole || (key < (cursor ?? 0) && !this.#isSpoilt(key))
    })
    // What is not taken, or damaged, of all that was owed is told by the sender, and not noted by key.
    const isExcused = (key: Key) => this.#case.isWhole === true && this.#isSpoilt(key)
    return unnoted.some((key) => !isExcused(key)) ? 'what a place missed is noted nowhere' : undefined
  }

  #isSpoilt(key: Key): boolean {
    return this.#case.spoilt?.key === key
  }

  #onward(world: PassWorld): PassWorld[] {
    if (world.isDone) return []
    if (world.attempt === undefined) return [this.#enter(world, beginPass(this.#rules), 0)]
    const { result, event } = this.#perform(world, world.attempt)
    return [this.#proceed(result, event)]
  }

  /** A task fails before anything came of it, or when all of it is done. */
  #failures(world: PassWorld): PassWorld[] {
    const { attempt, left } = world
    if (attempt === undefined || left.failures === 0) return []
    // Nothing depends on it that the end is heard.
    if (attempt.task.do === 'end') return []
    const poorer = { ...world, left: { ...left, failures: left.failures - 1 } }
    const { result } = this.#perform(poorer, attempt)
    return [poorer, result].map((outcome) => this.#proceed(outcome, { kind: 'failed', cause: 'it failed' }))
  }

  /** The memory is gone. What was on its way to the disk is there, or is not. The places hear nothing for a while. */
  #crashes(world: PassWorld): PassWorld[] {
    const { attempt, left } = world
    if (attempt === undefined || left.crashes === 0) return []
    const poorer = { ...world, left: { ...left, crashes: left.crashes - 1 } }
    return [poorer, this.#perform(poorer, attempt).result].map((end) => {
      return { ...end, isFilling: end.isWhole, isExpecting: false, attempt: undefined }
    })
  }

  /** Whoever writes here while a node cannot be reached notes that it misses the record. */
  #writes(world: PassWorld): PassWorld[] {
    const { left, attempt } = world
    if (left.writes === 0 || this.#case.aim.kind === 'refill') return []
    const isNoted = this.#case.aim.kind === 'hints' && (world.isFilling || !world.isWhole)
    const poorer = { ...world, left: { ...left, writes: left.writes - 1 } }
    return KEYS.map((key) => {
      const bit = isNoted ? 1 << key : 0
      const version = Math.max(...world.here, ...world.there.flat()) + 1
      return {
        ...poorer,
        here: withValue(world.here, key, version),
        owed: withValue(world.owed, key, version),
        hinted: world.hinted | bit,
        attempt: attempt && { ...attempt, touched: attempt.touched | bit },
      }
    })
  }

  /** What a task does, and what it says of it. */
  #perform(world: PassWorld, { task, touched }: Attempt): { result: PassWorld; event: PassEvent<Item> } {
    const done = { kind: 'done' } as const
    switch (task.do) {
      case 'find-owed':
        return {
          result: { ...world, isFilling: world.isWhole },
          event: { kind: 'owed', id: world.isWhole ? 'whole' : undefined },
        }
      case 'read-cursor': {
        const cursor = world.cursor === undefined ? undefined : Uint8Array.of(world.cursor)
        return { result: world, event: { kind: 'cursor', cursor } }
      }
      case 'read-page':
        return { result: world, event: { kind: 'page', page: this.#page(world, task) } }
      case 'push':
        return this.#push(world, task)
      case 'remove': {
        const items = task.items.filter(({ key, version }) => world.here[key] === version)
        const here = items.reduce((records, { key }) => withValue(records, key, 0), world.here)
        return { result: { ...world, here }, event: { kind: 'removed', items } }
      }
      case 'save-cursor':
        return { result: { ...world, cursor: task.cursor[0] }, event: done }
      case 'forget-hints': {
        const bits = task.keys.reduce((sum, key) => sum | (1 << Number(fromUtf8(key))), 0)
        return { result: { ...world, hinted: world.hinted & ~(bits & ~touched) }, event: done }
      }
      case 'forget-cursor':
        return { result: { ...world, cursor: undefined }, event: done }
      case 'save-filled':
        return { result: { ...world, isWhole: false, isFilling: false }, event: done }
      case 'count':
        return { result: world, event: { kind: 'counted', records: world.here.filter(Boolean).length } }
      case 'end':
        return { result: { ...world, isExpecting: false }, event: done }
      default:
        return { result: world, event: done }
    }
  }

  /** A page behind the last record is empty. */
  #page(world: PassWorld, { leg, cursor }: Extract<PassTask<Item>, { do: 'read-page' }>): PassPage<Item> {
    const key = cursor?.[0] ?? 0
    const one = KEYS.find((other) => other === key)
    const nothing = { records: [], notes: [], corrupt: [], next: undefined }
    if (one === undefined) return nothing
    const isBad = this.#isSpoilt(one) && this.#case.spoilt?.by === 'bad row'
    const isShown = leg.kind !== 'hints' || (world.hinted & (1 << one)) !== 0
    const version = world.here[one]
    return {
      records: isShown && version > 0 && !isBad ? [{ key: one, version, bytes: 10 }] : [],
      notes: isShown && leg.kind === 'hints' ? [utf8(`${one}`)] : [],
      corrupt: isShown && isBad ? [`${one}`] : [],
      next: Uint8Array.of(one + 1),
    }
  }

  #push(world: PassWorld, { items, to }: Extract<PassTask<Item>, { do: 'push' }>) {
    const at = PLACES.findIndex(({ node }) => node === to.node)
    const [first, second] = world.there
    const before = at === 0 ? first : second
    const isThere = ({ key, version }: Item) => before[key] >= version
    const held = items.filter((item) => isThere(item) || !this.#isSpoilt(item.key))
    const isDamage = this.#case.spoilt?.by === 'damage'
    const damaged = items.filter((item) => !held.includes(item) && isDamage)
    const after = held.reduce(
      (records, { key, version }) => withValue(records, key, Math.max(records[key], version)),
      before,
    )
    const there: readonly [Records, Records] = at === 0 ? [after, second] : [first, after]
    return {
      result: { ...world, there, isExpecting: true },
      event: { kind: 'pushed', held, damaged } as const,
    }
  }

  #proceed(world: PassWorld, event: PassEvent<Item>): PassWorld {
    const { attempt } = world
    if (attempt === undefined) return world
    return this.#enter(world, this.#next(this.#rules, attempt.state, event), attempt.touched)
  }

  #enter(world: PassWorld, { state, task }: PassStep<Item>, touched: number): PassWorld {
    const ends = { isDone: state.at === 'done', hasFailed: state.at === 'failed' }
    if (task === undefined) return { ...world, ...ends, attempt: undefined }
    // The watch begins at once; what it waits for comes later.
    return { ...world, ...ends, attempt: { state, task, touched: task.do === 'watch' ? 0 : touched } }
  }
}

function withValue(records: Records, key: Key, value: number): Records {
  return key === 0 ? [value, records[1]] : [records[0], value]
}
