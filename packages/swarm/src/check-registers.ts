import { describeOperation, type Operation, type Violation } from '@atoll/sim'
import type { Stamp } from './scene.ts'

export interface RegisterFinal {
  readonly value: string | undefined
  /** Of the record that was read; 0 for none. */
  readonly timestampMs: number
}

export interface Registers {
  readonly operations: readonly Operation[]
  readonly stamps: readonly Stamp[]
  readonly finals: ReadonlyMap<string, RegisterFinal>
  /** True if a write that two replicas coordinated may have got two times, of which the client knows one. */
  readonly skewed: boolean
}

/**
 * The last write wins: what is there in the end is not older, by its logical time, than anything that was acknowledged; it
 * is the acknowledged write with the greatest time, or one of unknown outcome. Wall clocks decide here, so that a blind
 * write may lose against one before it: only lost without a later one it may not be.
 */
export function checkRegisters({ operations, stamps, finals, skewed }: Registers): Violation[] {
  return [...finals].flatMap(([key, final]) => {
    const acknowledged = writesOf(stamps, key)
    const last = acknowledged.reduce((latest, { timestampMs }) => Math.max(latest, timestampMs), 0)
    const possible = new Set<string | undefined>(unknownValues(operations, key))
    for (const { operation, timestampMs } of acknowledged)
      if (skewed || timestampMs === last) possible.add(operation.value)
    if (acknowledged.length === 0) possible.add(undefined)
    if (final.timestampMs >= last && possible.has(final.value)) return []
    const message = `it holds ${final.value} of ${final.timestampMs}; acknowledged: ${acknowledged.map(inWords).join('; ')}`
    return [{ rule: 'lost-register', key, message }]
  })
}

/** What is read is not older, by its logical time, than anything that was acknowledged before. */
export function checkRegisterFreshness(stamps: readonly Stamp[]): Violation[] {
  return stamps.flatMap((read) => {
    const { kind, key, began } = read.operation
    if (kind !== 'get') return []
    const missed = writesOf(stamps, key).filter(
      ({ operation, timestampMs }) => operation.ended < began && timestampMs > read.timestampMs,
    )
    const message = `${inWords(read)} did not see ${missed.map(inWords).join('; ')}`
    return missed.length === 0 ? [] : [{ rule: 'stale-register', key, message }]
  })
}

function writesOf(stamps: readonly Stamp[], key: string): readonly Stamp[] {
  return stamps.filter(({ operation }) => operation.key === key && operation.kind !== 'get')
}

function inWords({ operation, timestampMs }: Stamp): string {
  return `${describeOperation(operation)} of ${timestampMs}`
}

function unknownValues(operations: readonly Operation[], key: string): (string | undefined)[] {
  const writes = operations.filter((one) => one.key === key && (one.kind === 'put' || one.kind === 'delete'))
  return writes.filter(({ outcome }) => outcome === 'unknown').map(({ value }) => value)
}
