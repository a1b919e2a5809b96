import { describe, expect, it } from 'vitest'
import { closeInOrder, Lifecycle } from '../src/index.ts'

type Call = 'open' | 'close' | 'breathe'

/** Writes down what happens to it. Opens and closes in two breaths each; the openings in `failing` fail. */
class Door extends Lifecycle {
  override readonly label = 'the door'
  readonly events: string[] = []
  readonly #failing: readonly number[]
  failClose = false
  #openings = 0

  constructor(failing: readonly number[] = []) {
    super()
    this.#failing = failing
  }

  use(): void {
    this.assertOpen()
  }

  protected async onOpen(): Promise<void> {
    this.#openings += 1
    const opening = this.#openings
    this.events.push('opening')
    await breathe()
    await breathe()
    if (this.#failing.includes(opening)) throw new Error(`stuck ${opening}`)
    this.events.push('open')
  }

  protected async onClose(): Promise<void> {
    this.events.push('closing')
    await breathe()
    await breathe()
    this.events.push('closed')
    if (this.failClose) throw new Error('squeaks')
  }
}

const breathe = () => Promise.resolve()
const closed = expect.objectContaining({ code: 'ATOLL_CLOSED' })

/** Every sequence of up to `length` calls. */
function sequences(length: number): Call[][] {
  if (length === 0) return [[]]
  const shorter = sequences(length - 1)
  const longest = shorter.filter((calls) => calls.length === length - 1)
  return [
    ...shorter,
    ...longest.flatMap((calls) => (['open', 'close', 'breathe'] as const).map((c) => [...calls, c])),
  ]
}

async function run(door: Door, calls: readonly Call[]): Promise<PromiseSettledResult<void>[]> {
  const promises: Promise<void>[] = []
  for (const call of calls) {
    if (call === 'breathe') await breathe()
    else promises.push(call === 'open' ? door.open() : door.close())
  }
  return Promise.allSettled(promises)
}

const lastOf = (calls: readonly Call[]) => calls.filter((call) => call !== 'breathe').at(-1)

describe('a lifecycle', () => {
  it('ends as the last call wants it, whatever the order and however close the calls', async () => {
    for (const calls of sequences(7)) {
      const door = new Door()
      const results = await run(door, calls)
      const last = lastOf(calls)
      expect(results.every(({ status }) => status === 'fulfilled')).toBe(true)
      const ends = last === 'open' ? ['open'] : ['closed', 'new']
      expect(ends, calls.join(' ')).toContain(door.state)
    }
  })

  it('opens and closes in turns, never twice and never at once', async () => {
    for (const calls of sequences(7)) {
      const door = new Door()
      await run(door, calls)
      const turn = ['opening', 'open', 'closing', 'closed']
      expect(door.events, calls.join(' ')).toEqual(door.events.map((_, at) => turn[at % 4]))
    }
  })

  it('is closed after a failed opening, and may be opened again', async () => {
    for (const calls of sequences(6)) {
      if (!calls.includes('open')) continue
      const door = new Door([1])
      const results = await run(door, calls)
      const failed = results.filter(({ status }) => status === 'rejected')
      expect(failed.length, calls.join(' ')).toBeGreaterThan(0)
      expect(['open', 'closed', 'new']).toContain(door.state)
      await door.open()
      expect(door.state).toBe('open')
      await door.close()
      expect(door.state).toBe('closed')
    }
  })

  it('cleans up after a failed opening, and passes its error on', async () => {
    const door = new Door([1])
    door.failClose = true
    await expect(door.open()).rejects.toThrow('stuck 1')
    expect(door.events).toEqual(['opening', 'closing', 'closed'])
    await expect(door.close()).resolves.toBeUndefined()
  })

  it('is closed even if closing fails, and says so once', async () => {
    const door = new Door()
    door.failClose = true
    await door.open()
    await expect(door.close()).rejects.toThrow('squeaks')
    expect(door.state).toBe('closed')
    await expect(door.close()).resolves.toBeUndefined()
    door.failClose = false
    await door.open()
    expect(door.state).toBe('open')
  })

  it('may be used while open only: not before, and not from the call of close on', async () => {
    const door = new Door()
    expect(() => door.use()).toThrow(closed)
    const opening = door.open()
    expect(() => door.use()).toThrow(closed)
    await opening
    door.use()
    const closing = door.close()
    expect(() => door.use()).toThrow(/the door is closing, not open/)
    await closing
    expect(() => door.use()).toThrow(closed)
  })

  it('closes at the end of a block', async () => {
    const door = new Door()
    {
      await using inside = door
      await inside.open()
    }
    expect(door.state).toBe('closed')
  })

  it('does nothing in its constructor', async () => {
    const door = new Door()
    await breathe()
    expect(door.events).toEqual([])
    expect(door.state).toBe('new')
  })
})

it('closes all of several in order, and throws the first failure after that', async () => {
  const closed: string[] = []
  const part = (name: string, failure?: Error) => ({
    close: async () => {
      closed.push(name)
      if (failure !== undefined) throw failure
    },
  })
  const first = new Error('the first')
  const parts = [part('a'), part('b', first), part('c', new Error('the second')), part('d')]
  await expect(closeInOrder(parts)).rejects.toBe(first)
  expect(closed).toEqual(['a', 'b', 'c', 'd'])
  await closeInOrder([part('e')])
})
