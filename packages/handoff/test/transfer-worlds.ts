import type { GatePhase, TransferNote } from '@atoll/vnode'
import {
  beginTransfer,
  nextTransfer,
  type TransferEffect,
  type TransferEvent,
  type TransferRules,
  type TransferState,
  type TransferStep,
  type TransferTask,
} from '../src/transfer-machine.ts'

/** Two records, each a page of its own. A record is a number that grows with every write. */
const KEYS = [0, 1] as const
type Records = readonly [number, number]

/** A source and a target, and everything that can have become of them. */
export interface TransferWorld {
  readonly records: Records
  readonly there: Records
  /** Bits of the keys that changed. */
  readonly noted: number
  readonly note: TransferNote | undefined
  readonly isNoting: boolean
  readonly gate: GatePhase | undefined
  /** Whether the source serves what the other node forwards: where the vnode goes back. */
  readonly isInbound: boolean
  /** Whether the target was told. */
  readonly isTold: boolean
  readonly attempt: Attempt | undefined
  readonly isDone: boolean
  readonly left: { readonly writes: number; readonly crashes: number; readonly failures: number }
}

interface Attempt {
  readonly state: TransferState
  readonly task: TransferTask
  /** What was read when the task began, to be sent. */
  readonly read: Records
  /** What was read ahead while the task before was under way. */
  readonly ahead: Records
  /** Of what changed since then. */
  readonly changed: number
  /** A cursor on its way to the disk. */
  readonly saving: TransferNote | undefined
}

export type Next = typeof nextTransfer

/** What may go wrong, and how often. */
export interface Bounds {
  readonly writes: number
  readonly crashes: number
  readonly failures: number
}

export class TransferWorlds {
  readonly #rules: TransferRules
  readonly #next: Next

  constructor(isReturn: boolean, next: Next = nextTransfer) {
    this.#next = next
    this.#rules = {
      plan: { partition: 1, to: 'n2', isReturn },
      pageRecords: 1,
      refused: () => new Error('refused'),
    }
  }

  first(left: Bounds): TransferWorld {
    const nothing = { note: undefined, noted: 0, isNoting: false, gate: undefined, attempt: undefined }
    const { isReturn } = this.#rules.plan
    return {
      ...nothing,
      records: [1, 1],
      there: [0, 0],
      isInbound: isReturn,
      isTold: false,
      isDone: false,
      left,
    }
  }

  /** Every world that may follow. */
  after(world: TransferWorld): TransferWorld[] {
    return [...this.#onward(world), ...this.#failures(world), ...this.#crashes(world), ...this.#writes(world)]
  }

  /** The world when nothing goes wrong; undefined at the end. */
  goesOn(world: TransferWorld): TransferWorld | undefined {
    return this.#onward(world)[0]
  }

  /** What must never be so. */
  faultOf(world: TransferWorld): string | undefined {
    const { isReturn } = this.#rules.plan
    const { note, gate, noted, isDone, isTold } = world
    const lacking = KEYS.filter((key) => (world.there[key] ?? 0) < (world.records[key] ?? 0))
    if (gate === 'sealed' && lacking.length > 0) return 'it forwards to a node that lacks records'
    if (isReturn && isTold && lacking.length > 0) return 'the owner serves a vnode that lacks records'
    if (isDone && lacking.length > 0) return 'it is done, and the target lacks records'
    if (isDone && !isReturn && (gate !== 'sealed' || note?.phase !== 'sealed'))
      return 'it is done, and the source serves on, or will after a restart'
    if (isDone && isReturn && (note !== undefined || gate !== undefined)) return 'it is done, and is not over'
    const unnoted = lacking.filter((key) => (noted & (1 << key)) === 0 && isBehind(key, note))
    return unnoted.length > 0
      ? 'a record that the target lacks is neither noted nor still to be copied'
      : undefined
  }

  #onward(world: TransferWorld): TransferWorld[] {
    if (world.isDone) return []
    if (world.attempt === undefined) return [this.#enter(world, beginTransfer(), [0, 0])]
    const { result, event } = this.#perform(world, world.attempt)
    return [this.#proceed(result, world.attempt, event)]
  }

  /** A task fails before anything came of it, or when all of it is done. */
  #failures(world: TransferWorld): TransferWorld[] {
    const { attempt, left } = world
    if (attempt === undefined || left.failures === 0) return []
    const poorer = { ...world, left: { ...left, failures: left.failures - 1 } }
    const failed = { kind: 'failed', cause: 'it failed' } as const
    const { result } = this.#perform(poorer, attempt)
    return [poorer, result].map((outcome) => this.#proceed(outcome, attempt, failed))
  }

  /** The source's memory is gone, or the target's. What was on its way to the disk is there, or is not. */
  #crashes(world: TransferWorld): TransferWorld[] {
    const { attempt, left } = world
    if (left.crashes === 0) return []
    const poorer = { ...world, left: { ...left, crashes: left.crashes - 1 } }
    const ends = [poorer]
    if (attempt !== undefined) ends.push(this.#perform(poorer, attempt).result)
    if (attempt?.saving !== undefined) ends.push({ ...poorer, note: attempt.saving })
    const target = this.#rules.plan.isReturn ? [] : [{ ...poorer, isTold: false }]
    return [...ends.map(restarted), ...target]
  }

  #writes(world: TransferWorld): TransferWorld[] {
    const { left, gate, isInbound, isNoting } = world
    if (left.writes === 0) return []
    const poorer = { ...world, left: { ...left, writes: left.writes - 1 } }
    const isServing = isOpen(world) && (isInbound || !this.#rules.plan.isReturn)
    return KEYS.flatMap((key) => {
      if (gate === 'sealed') return world.isTold ? [{ ...poorer, there: grown(world.there, key) }] : []
      if (!isServing) return []
      const bit = isNoting ? 1 << key : 0
      const attempt = world.attempt && { ...world.attempt, changed: world.attempt.changed | (1 << key) }
      const value = Math.max(...world.records, ...world.there) + 1
      return [{ ...poorer, attempt, records: withValue(world.records, key, value), noted: world.noted | bit }]
    })
  }

  /** What a task does, and what it says of it. */
  #perform(
    world: TransferWorld,
    attempt: Attempt,
  ): { readonly result: TransferWorld; readonly event: TransferEvent } {
    const { task, read, saving } = attempt
    const done = { kind: 'done' } as const
    switch (task.do) {
      case 'read-note':
        return { result: world, event: { kind: 'read', note: world.note, isServing: isOpen(world) } }
      case 'save':
        return { result: { ...world, note: task.note }, event: done }
      case 'send-page': {
        const key = task.cursor?.[0] ?? 0
        const there = withValue(world.there, key, Math.max(world.there[key] ?? 0, read[key] ?? 0))
        const next = key + 1 < KEYS.length ? Uint8Array.of(key + 1) : undefined
        return { result: { ...world, there, note: saving ?? world.note }, event: { kind: 'sent', next } }
      }
      case 'count-notes':
        return {
          result: world,
          event: { kind: 'counted', notes: KEYS.filter((key) => world.noted & (1 << key)).length },
        }
      case 'send-notes':
        return { result: sendNotes(world, attempt, task.maxPages), event: done }
      case 'send-last-notes':
        return { result: sendNotes(world, attempt, KEYS.length), event: done }
      case 'tell':
        return { result: { ...world, isTold: true }, event: done }
      case 'forget':
        return {
          result: { ...world, note: undefined, noted: 0, isNoting: false, gate: undefined },
          event: done,
        }
    }
  }

  #proceed(world: TransferWorld, attempt: Attempt, event: TransferEvent): TransferWorld {
    return this.#enter(world, this.#next(this.#rules, attempt.state, event), attempt.ahead)
  }

  #enter(before: TransferWorld, { state, effects, task }: TransferStep, ahead: Records): TransferWorld {
    let world: TransferWorld = { ...before, attempt: undefined, isDone: state.at === 'done' }
    let saving: TransferNote | undefined
    for (const effect of effects) {
      if (effect.do === 'save-cursor') saving = effect.note
      else world = applied(world, effect)
    }
    if (task === undefined) return world
    const isFirst = task.do !== 'send-page' || task.cursor === undefined || before.attempt === undefined
    const read = isFirst || ahead[1] === 0 ? world.records : ahead
    // The page behind this one may be read from now on.
    return { ...world, attempt: { state, task, read, ahead: world.records, changed: 0, saving } }
  }
}

function applied(
  world: TransferWorld,
  effect: Exclude<TransferEffect, { readonly do: 'save-cursor' }>,
): TransferWorld {
  switch (effect.do) {
    case 'note-changes':
      return { ...world, isNoting: true }
    case 'revoke':
      return { ...world, isInbound: false }
    case 'gate': {
      const isMeant =
        effect.over === undefined || (world.gate !== undefined && effect.over.includes(world.gate))
      return isMeant ? { ...world, gate: effect.phase } : world
    }
  }
}

/** Notes of records that have changed since they were read stay. */
function sendNotes(world: TransferWorld, { read, changed }: Attempt, maxPages: number): TransferWorld {
  let { there, noted } = world
  for (const key of KEYS.filter((one) => noted & ~changed & (1 << one)).slice(0, maxPages)) {
    there = withValue(there, key, Math.max(there[key] ?? 0, read[key] ?? 0))
    noted &= ~(1 << key)
  }
  return { ...world, there, noted }
}

function isOpen({ gate }: Pick<TransferWorld, 'gate'>): boolean {
  return gate === undefined || gate === 'copying'
}

function restarted(world: TransferWorld): TransferWorld {
  const phase = world.note?.phase === 'sealed' ? 'resealing' : 'copying'
  const gate = world.note === undefined ? undefined : phase
  return { ...world, gate, isNoting: gate !== undefined, isInbound: false, attempt: undefined, isDone: false }
}

/** Whether the copying is past a key: what is written of it from then on has to be noted. */
function isBehind(key: number, note: TransferNote | undefined): boolean {
  if (note === undefined) return false
  return note.phase !== 'copy' || key < (note.cursor?.[0] ?? 0)
}

function withValue(records: Records, key: number, value: number): Records {
  return key === 0 ? [value, records[1]] : [records[0], value]
}

function grown(records: Records, key: number): Records {
  return withValue(records, key, Math.max(...records) + 1)
}
