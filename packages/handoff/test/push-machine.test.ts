import { describe, expect, it } from 'vitest'
import { beginPush, MESSAGE_HEAD_BYTES, nextPush, type PushState } from '../src/push-machine.ts'

interface Item {
  readonly name: number
  readonly headBytes: number
  readonly bytes: number
  readonly isLarge: boolean
}

const isLarge = (item: Item) => item.isLarge
const MESSAGE_BYTES = 1024 * 1024
const MESSAGES_AT_ONCE = 2
const means = { isLarge, messageBytes: MESSAGE_BYTES, messagesAtOnce: MESSAGES_AT_ONCE }
const SIZES = [1, MESSAGE_HEAD_BYTES / 2 + 1, MESSAGE_HEAD_BYTES + 1]

/**
 * All lists of so many items: small, half a message, more than one, by heads and by values, and one that goes as a
 * stream.
 */
function* lists(length: number): Generator<readonly Item[]> {
  if (length === 0) {
    yield []
    return
  }
  for (const items of lists(length - 1)) {
    for (const headBytes of SIZES) {
      yield [...items, { name: length, headBytes, bytes: headBytes, isLarge: false }]
    }
    yield [...items, { name: length, headBytes: 1, bytes: MESSAGE_BYTES / 2 + 1, isLarge: false }]
    yield [...items, { name: length, headBytes: 1, bytes: 2 * MESSAGE_BYTES, isLarge: true }]
  }
}

const subsets = (length: number) => Array.from({ length: 2 ** length }, (_, bits) => bits)
const placesOf = (bits: number, length: number) =>
  Array.from({ length }, (_, at) => at).filter((at) => bits & (1 << at))

interface Ending {
  readonly held: readonly Item[]
  /** Refused by the other vnode, or too large for the way. */
  readonly left: ReadonlySet<number>
}

/** Every order and way in which messages may be answered: taken, refused in part, too large. */
function endings(state: PushState<Item>, left: ReadonlySet<number>): Ending[] {
  if (state.at === 'done') return [{ held: state.held, left }]
  if (state.at === 'offering') throw new Error('it was answered')
  const { underWay, waiting } = state
  expect(underWay.length).toBe(Math.min(MESSAGES_AT_ONCE, underWay.length + waiting.length))
  return underWay.flatMap((message) => {
    checkMessage(message)
    const tooLarge = nextPush(state, { kind: 'too-large', message }, means)
    const alone = message.length === 1 ? message.map(({ name }) => name) : []
    const answered = [0, 1].flatMap((bits) => {
      const refused = placesOf(bits, message.length)
      const names = refused.map((at) => message[at]?.name ?? 0)
      return endings(nextPush(state, { kind: 'sent', message, refused }, means), new Set([...left, ...names]))
    })
    return [...answered, ...endings(tooLarge, new Set([...left, ...alone]))]
  })
}

function checkMessage(message: readonly Item[]): void {
  expect(message.length).toBeGreaterThan(0)
  if (message.length === 1) return
  expect(message.some(isLarge)).toBe(false)
  expect(message.reduce((sum, { headBytes }) => sum + headBytes, 0)).toBeLessThanOrEqual(MESSAGE_HEAD_BYTES)
  expect(message.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(MESSAGE_BYTES)
}

describe('a page on its way to a vnode', () => {
  it('arrives but for what is refused, whatever is lacking there and whichever message is too large', () => {
    let count = 0
    for (const items of [...lists(1), ...lists(2), ...lists(3)]) {
      for (const bits of subsets(items.length)) {
        const places = placesOf(bits, items.length)
        const offered = nextPush(beginPush(items), { kind: 'lacking', places }, means)
        for (const { held, left } of endings(offered, new Set())) {
          count += 1
          const names = held.map(({ name }) => name)
          expect(new Set(names).size).toBe(names.length)
          expect(names.toSorted((a, b) => a - b)).toEqual(
            items.map(({ name }) => name).filter((name) => !left.has(name)),
          )
        }
      }
    }
    expect(count).toBeGreaterThan(3000)
  })

  it('is not offered if it is empty', () => {
    expect(beginPush([])).toEqual({ at: 'done', held: [] })
  })

  it('has sent nothing that is there', () => {
    const items = [...lists(3)][0] ?? []
    expect(nextPush(beginPush(items), { kind: 'lacking', places: [] }, means)).toEqual({
      at: 'done',
      held: items,
    })
  })
})
