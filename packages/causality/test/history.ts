import fc from 'fast-check'
import {
  type CausalContext,
  contextOf,
  type Dot,
  type MergePolicy,
  mergeRecords,
  type StoredRecord,
  writeOnceRecord,
  writeRecord,
} from '../src/index.ts'
import { ACTOR_A, ACTOR_B, ACTOR_C, contentOf, sumOf, writeIdOf } from './sample.ts'

/** One step of three replicas that hold the same key. */
export type Step =
  | {
      readonly kind: 'write'
      readonly at: number
      readonly read: number | undefined
      readonly wallMs: number
    }
  | { readonly kind: 'read'; readonly at: number }
  | { readonly kind: 'merge'; readonly at: number; readonly from: number }

const replica = fc.nat(2)
// A wall clock that is wrong in all ways: a write often has an earlier time than what it replaces.
const wallMs = fc.nat(5)

export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('write' as const),
      at: replica,
      read: fc.option(fc.nat(20), { nil: undefined }),
      wallMs,
    }),
    fc.record({ kind: fc.constant('read' as const), at: replica }),
    fc.record({ kind: fc.constant('merge' as const), at: replica, from: fc.nat(20) }),
  ),
  { minLength: 1, maxLength: 24 },
)

/** What a dumb replica knows: every event, each with all events that it was told of. */
export interface Event {
  readonly name: string
  readonly timestampMs: number
  readonly saw: ReadonlySet<string>
}

export interface Known {
  /** Undefined as long as the replica has nothing. */
  readonly record: StoredRecord | undefined
  readonly events: ReadonlyMap<string, Event>
}

interface Read {
  readonly context: CausalContext
  readonly events: ReadonlyMap<string, Event>
}

export const nameOf = ({ actor, counter }: Dot) => `${actor}:${counter}`

/** Runs the steps, and answers every state that any replica was ever in. */
export function statesOf(policy: MergePolicy, history: readonly Step[]): Known[] {
  const states: Known[] = []
  const replicas: Known[] = [0, 1, 2].map(() => ({ record: undefined, events: new Map() }))
  const reads: Read[] = []
  let writes = 0
  for (const step of history) {
    const here = replicas[step.at]!
    let next = here
    if (step.kind === 'read' && here.record !== undefined) {
      reads.push({ context: contextOf(here.record), events: here.events })
    }
    if (step.kind === 'write') {
      writes += 1
      const read = step.read === undefined ? undefined : reads[step.read % Math.max(reads.length, 1)]
      next = written(policy, here, { number: writes, at: step.at, read, wallMs: step.wallMs })
    }
    const other = step.kind === 'merge' ? states[step.from % Math.max(states.length, 1)] : undefined
    if (other?.record !== undefined) {
      const record =
        here.record === undefined ? other.record : mergeRecords(policy, here.record, other.record)
      next = { record, events: new Map([...here.events, ...other.events]) }
    }
    replicas[step.at] = next
    if (next.record !== undefined) states.push(next)
  }
  return states
}

interface NumberedWrite {
  readonly number: number
  readonly at: number
  readonly read: Read | undefined
  readonly wallMs: number
}

function written(policy: MergePolicy, here: Known, { number, at, read, wallMs }: NumberedWrite): Known {
  const content = contentOf(`value ${number % 4}`)
  const write = {
    content,
    valueCrc32: sumOf(content.value),
    writeId: writeIdOf(number),
    context: read?.context,
  }
  if (policy.kind === 'write-once') {
    const record = writeOnceRecord(content, write.valueCrc32, write.writeId)
    return {
      record: here.record === undefined ? record : mergeRecords(policy, here.record, record),
      events: new Map(),
    }
  }
  // Counters of an actor grow over all replicas' histories, and skip.
  const dot = { actor: [ACTOR_A, ACTOR_B, ACTOR_C][at]!, counter: 2 * number }
  const record = writeRecord({ policy, current: here.record, write, dot, wallMs })
  const event = {
    name: nameOf(dot),
    timestampMs: record.siblings.find((sibling) => nameOf(sibling.dot) === nameOf(dot))!.timestampMs,
    saw: new Set(read?.events.keys()),
  }
  const events = new Map([...here.events, ...(read?.events ?? []), [event.name, event]])
  return { record, events }
}
