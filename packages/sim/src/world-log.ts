import { isBytes, isError, type Log, messageOf } from '@atoll/core'
import type { Trace } from './trace.ts'

const MAX_FIELDS_LENGTH = 300

/** Writes what a node logs into the trace of the world; debug lines are hashed and not kept. */
export function worldLog(name: string, trace: Trace, nowMs: () => number): Log {
  const note = (level: string) => (fields: object, message: string) => {
    trace.note(`${stamp(nowMs())} ${name} ${level}: ${message} ${renderFields(fields)}`)
  }
  return {
    debug: (_, message) => trace.feed(`${nowMs()} ${name} debug: ${message}`),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
  }
}

/** Virtual time at the head of a line of the timeline. */
export function stamp(nowMs: number): string {
  return `${nowMs.toFixed(3).padStart(12)} ms`
}

function renderFields(fields: object): string {
  const text = JSON.stringify(fields, renderValue)
  return text.length > MAX_FIELDS_LENGTH ? `${text.slice(0, MAX_FIELDS_LENGTH)}…` : text
}

function renderValue(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}`
  if (isBytes(value)) return Buffer.from(value.subarray(0, 16)).toString('hex')
  if (isError(value)) return messageOf(value)
  if (value instanceof Map) return Object.fromEntries(value)
  return value instanceof Set ? [...value] : value
}
