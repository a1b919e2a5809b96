import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type LoggedOp, OP_DELETE, OP_MOVE, OP_SMALL } from '../src/operation.ts'
import { Overlay } from '../src/overlay.ts'
import { DATA_PREFIX, INLINE_TAG } from '../src/pointer.ts'

/**
 * Some of one class, some that differ from others in a late byte alone, and some that are shorter than what is looked
 * at.
 */
const KEYS = [
  '',
  'a',
  'ab',
  'abcdef',
  'abcdeg',
  '!0012!!head!x',
  '!0012!!head!y',
  '!0013!!head!x',
  '!meta!!index!x',
]

const innerKey = (key: string) => Uint8Array.of(DATA_PREFIX, ...Buffer.from(key))

function logged(key: string, what: number | 'delete' | 'move'): LoggedOp {
  const nothing = { pointer: undefined, from: undefined, replaces: undefined }
  const named = { key: innerKey(key), id: Buffer.from(innerKey(key)).toString('latin1'), ...nothing }
  if (what === 'delete') return { type: OP_DELETE, ...named, inline: undefined }
  if (what === 'move') return { type: OP_MOVE, ...named, inline: undefined }
  return { type: OP_SMALL, ...named, inline: Uint8Array.of(INLINE_TAG, what) }
}

const key = fc.constantFrom(...KEYS)
const op = fc.tuple(key, fc.oneof(fc.nat(255), fc.constantFrom('delete' as const, 'move' as const)))
const step = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), ops: fc.array(op, { minLength: 1, maxLength: 6 }) }),
  fc.record({ kind: fc.constant('find' as const), key }),
  fc.record({ kind: fc.constant('apply' as const), behind: fc.nat(3) }),
)

/** What is known of a key, by going through all that was added. */
function expected(added: readonly (readonly LoggedOp[])[], applied: number, of: string): unknown {
  let found: unknown
  for (const [at, ops] of added.entries()) {
    if (at + 1 <= applied) continue
    for (const one of ops)
      if (one.type !== OP_MOVE && Buffer.compare(one.key, innerKey(of)) === 0)
        found = { stored: one.inline?.subarray(1) }
  }
  return found
}

describe('writes that the inner database has not got yet', () => {
  test('are found by their keys, the last one of each, until it has them', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const overlay = new Overlay()
        const added: LoggedOp[][] = []
        let applied = 0
        for (const each of steps) {
          if (each.kind === 'add') {
            added.push(each.ops.map(([name, what]) => logged(name, what)))
            overlay.add(added.at(-1) ?? [], added.length)
          } else if (each.kind === 'apply') {
            applied = Math.max(applied, added.length - each.behind)
            overlay.applied(applied)
          } else {
            const found = overlay.find(innerKey(each.key))
            const stored = found && { stored: found.stored && Uint8Array.from(Object(found.stored)) }
            const known = expected(added, applied, each.key)
            expect(stored ?? 'nothing').toEqual(known === undefined ? 'nothing' : known)
          }
        }
        for (const name of KEYS)
          expect(overlay.find(innerKey(name)) === undefined).toBe(
            expected(added, applied, name) === undefined,
          )
      }),
      { numRuns: 300 },
    )
  })
})
