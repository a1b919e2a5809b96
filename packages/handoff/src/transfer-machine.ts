import { assert } from '@atoll/core'
import type { GatePhase, TransferNote } from '@atoll/vnode'
import type { HandoffPhase } from './jobs.ts'

export interface TransferPlan {
  readonly partition: number
  readonly to: string
  /** True if the partition was handed over to this node before, and goes back. */
  readonly isReturn: boolean
}

/** Notes may come in as fast as they are worked off; after so many rounds the pause has to be long enough. */
export const MAX_CATCH_UPS = 8

/** Where an attempt to move a vnode stands: what it waits for. */
export type TransferState =
  | { readonly at: 'reading' }
  | { readonly at: 'beginning' }
  | { readonly at: 'copying' }
  | { readonly at: 'copied' }
  | { readonly at: 'counting'; readonly round: number }
  | { readonly at: 'catching-up'; readonly round: number }
  | { readonly at: 'pausing' }
  | { readonly at: 'telling' }
  | { readonly at: 'sealing' }
  | { readonly at: 'returning' }
  | { readonly at: 'forgetting' }
  | { readonly at: 'sending-again' }
  | { readonly at: 'telling-again' }
  | { readonly at: 'done' }
  | { readonly at: 'failed'; readonly cause: unknown }

/** What is done at once, in the same turn. */
export type TransferEffect =
  /** Every write leaves a note from now on. */
  | { readonly do: 'note-changes' }
  /** Sets the gate of the partition; `over` names the phases that it may have now, default any, none included. */
  | { readonly do: 'gate'; readonly phase: GatePhase; readonly over?: readonly GatePhase[] }
  /** What the other node forwards is not served here any more. */
  | { readonly do: 'revoke' }
  /** Writes down where the next page begins; nothing waits for it. */
  | { readonly do: 'save-cursor'; readonly note: TransferNote }

/** What takes time, and ends in one event. */
export type TransferTask =
  | { readonly do: 'read-note' }
  | { readonly do: 'save'; readonly note: TransferNote }
  /** Sends the next page of records; the first one lies behind the cursor. */
  | { readonly do: 'send-page'; readonly cursor: Uint8Array | undefined }
  | { readonly do: 'count-notes' }
  /** Sends noted records and forgets their notes, `maxPages` pages at most. */
  | { readonly do: 'send-notes'; readonly maxPages: number }
  /** The same of all that is noted, while writes wait: it fails if they would wait for too long. */
  | { readonly do: 'send-last-notes' }
  /** Tells the other node that this one accepts nothing for the partition any more. */
  | { readonly do: 'tell' }
  /** Deletes the note of the transfer, its gate, and the notes of changes. */
  | { readonly do: 'forget' }

export type TransferEvent =
  /** `isServing` says that the vnode takes writes: its gate is open, or it has none. */
  | { readonly kind: 'read'; readonly note: TransferNote | undefined; readonly isServing: boolean }
  /** `next` is where the next page begins; undefined if there is none. */
  | { readonly kind: 'sent'; readonly next: Uint8Array | undefined }
  | { readonly kind: 'counted'; readonly notes: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly cause: unknown }

export interface TransferStep {
  readonly state: TransferState
  readonly effects: readonly TransferEffect[]
  /** Undefined at the end of the attempt. */
  readonly task: TransferTask | undefined
}

export interface TransferRules {
  readonly plan: TransferPlan
  /** Records of a page: so few noted ones are sent while writes wait. */
  readonly pageRecords: number
  /** The error of an attempt to move a vnode that is sealed to another node. */
  readonly refused: (note: TransferNote) => Error
}

/** What a handed-over vnode is called while the other node has to hear of it again. */
const UNTOLD: readonly GatePhase[] = ['resealing', 'cut-off']
/** A gate that is gone stays so: somebody has ended the transfer. */
const ANY: readonly GatePhase[] = ['copying', 'pausing', 'resealing', 'cut-off', 'sealed']

export function beginTransfer(): TransferStep {
  return wait({ at: 'reading' }, { do: 'read-note' })
}

/**
 * Moves a vnode to another node, from wherever an earlier attempt has come to:
 *
 * 1. copy, in pages in the order of keys, behind a durable cursor. Every write from the beginning on leaves a note in its
 *    own batch.
 * 2. catch up: send what is noted, and forget the notes, until few are left.
 * 3. hand over: writes wait; what is under way ends, the last notes are sent, the other node is told, and it is written
 *    down here that this vnode is sealed. From then on it only forwards.
 *
 * Until the last step the vnode serves as ever, and a failure costs nothing but another attempt.
 */
export function nextTransfer(rules: TransferRules, state: TransferState, event: TransferEvent): TransferStep {
  if (event.kind === 'failed') return afterFailure(state, event.cause)
  switch (state.at) {
    case 'reading':
      return event.kind === 'read' ? begin(rules, event.note, event.isServing) : unexpected(state, event)
    case 'beginning':
      return copy(undefined)
    case 'copying':
      return event.kind === 'sent' ? copied(rules, event.next) : unexpected(state, event)
    case 'copied':
      return count(0)
    case 'counting':
      return event.kind === 'counted' ? catchUp(rules, state.round, event.notes) : unexpected(state, event)
    case 'catching-up':
      return state.round + 1 === MAX_CATCH_UPS ? pause() : count(state.round + 1)
    case 'pausing':
      return rules.plan.isReturn
        ? wait({ at: 'returning' }, { do: 'tell' }, { do: 'revoke' })
        : wait({ at: 'telling' }, { do: 'tell' })
    case 'telling':
      return wait({ at: 'sealing' }, { do: 'save', note: noteOf(rules, 'sealed') })
    case 'sealing':
      return end({ at: 'done' }, { do: 'gate', phase: 'sealed' })
    case 'returning':
      return wait({ at: 'forgetting' }, { do: 'forget' })
    case 'sending-again':
      return wait({ at: 'telling-again' }, { do: 'tell' })
    case 'telling-again':
      return end({ at: 'done' }, { do: 'gate', phase: 'sealed', over: UNTOLD })
    case 'forgetting':
      return end({ at: 'done' })
    default:
      return unexpected(state, event)
  }
}

/** What an operator reads of it. */
export function phaseOf({ at }: TransferState): HandoffPhase | undefined {
  switch (at) {
    case 'copying':
    case 'copied':
      return 'copying'
    case 'counting':
    case 'catching-up':
      return 'catching-up'
    case 'pausing':
      return 'sealing'
    case 'done':
      return 'sealed'
    default:
      return undefined
  }
}

function begin(rules: TransferRules, known: TransferNote | undefined, isServing: boolean): TransferStep {
  const { to, isReturn } = rules.plan
  const isSame = known?.to === to && known.isReturn === isReturn
  const noting: TransferEffect = { do: 'note-changes' }
  if (known?.phase === 'sealed' && !isSame) return end({ at: 'failed', cause: rules.refused(known) })
  if (known?.phase === 'sealed' && !isServing) {
    return wait({ at: 'sending-again' }, { do: 'send-notes', maxPages: Number.POSITIVE_INFINITY }, noting)
  }
  const effects = [noting, { do: 'gate', phase: 'copying' }] as const
  // A seal of which nobody knew that it had come to the disk is put anew: meanwhile this node took writes.
  if (isSame && known?.phase !== 'copy') return count(0, ...effects)
  if (isSame) return copy(known.cursor, ...effects)
  // Queued behind everything that was decided before changes were noted: that is on disk when the first page is read.
  return wait({ at: 'beginning' }, { do: 'save', note: noteOf(rules, 'copy') }, ...effects)
}

function copied(rules: TransferRules, next: Uint8Array | undefined): TransferStep {
  if (next === undefined) return wait({ at: 'copied' }, { do: 'save', note: noteOf(rules, 'catch-up') })
  return copy(next, { do: 'save-cursor', note: { ...noteOf(rules, 'copy'), cursor: next } })
}

/** Few notes left, or as many as come in while they are worked off: the rest is sent while writes wait. */
function catchUp({ pageRecords }: TransferRules, round: number, notes: number): TransferStep {
  if (notes <= pageRecords && round > 0) return pause()
  return wait({ at: 'catching-up', round }, { do: 'send-notes', maxPages: Math.ceil(notes / pageRecords) })
}

function afterFailure(state: TransferState, cause: unknown): TransferStep {
  switch (state.at) {
    case 'pausing':
    case 'telling':
    // Whether the note is there nobody knows. Should it be, then what is written from now on is noted, and is sent before
    // anything is forwarded.
    case 'sealing':
    case 'returning':
    case 'forgetting':
      return reopen(cause)
    case 'sending-again':
    case 'telling-again':
      return end({ at: 'failed', cause }, { do: 'gate', phase: 'cut-off', over: UNTOLD })
    default:
      return end({ at: 'failed', cause })
  }
}

/** The vnode takes writes again, unless the transfer was ended. */
function reopen(cause: unknown): TransferStep {
  return end({ at: 'failed', cause }, { do: 'gate', phase: 'copying', over: ANY })
}

function copy(cursor: Uint8Array | undefined, ...effects: readonly TransferEffect[]): TransferStep {
  return wait({ at: 'copying' }, { do: 'send-page', cursor }, ...effects)
}

function count(round: number, ...effects: readonly TransferEffect[]): TransferStep {
  return wait({ at: 'counting', round }, { do: 'count-notes' }, ...effects)
}

function pause(): TransferStep {
  return wait({ at: 'pausing' }, { do: 'send-last-notes' }, { do: 'gate', phase: 'pausing' })
}

function wait(state: TransferState, task: TransferTask, ...effects: readonly TransferEffect[]): TransferStep {
  return { state, effects, task }
}

function end(state: TransferState, ...effects: readonly TransferEffect[]): TransferStep {
  return { state, effects, task: undefined }
}

function noteOf({ plan: { to, isReturn } }: TransferRules, phase: TransferNote['phase']): TransferNote {
  return { to, phase, cursor: undefined, isReturn }
}

function unexpected({ at }: TransferState, { kind }: TransferEvent): never {
  assert(false, `a transfer that is ${at} does not expect the event "${kind}"`)
}
