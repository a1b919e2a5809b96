import { AtollError, isAtollError } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { COUNT, createTestCluster, ECHO, ECHO_BODY, outcome, settle, type TestCluster } from './world.ts'

const SOON = { timeoutMs: 100 }

async function pair(cluster: TestCluster = createTestCluster()) {
  const [a, b] = [await cluster.endpoint('a'), await cluster.endpoint('b')]
  return { ...cluster, a, b }
}

/** A handler that answers when told to, and shows its calls. */
function patient() {
  const calls: { request: string; signal: AbortSignal; remainingMs: number; from: string }[] = []
  const answers: ((answer: string) => void)[] = []
  const handler = (
    request: string,
    { signal, remainingMs, from }: { signal: AbortSignal; remainingMs: number; from: string },
  ) => {
    calls.push({ request, signal, remainingMs, from })
    return new Promise<string>((resolve) => answers.push(resolve))
  }
  return { calls, answers, handler }
}

describe('a call', () => {
  test('is answered, with a body and without, over one connection', async () => {
    const { a, b } = await pair()
    b.handle(ECHO, async (request, { from }) => `${request} from ${from}`)
    b.handle(ECHO_BODY, async (request) => request.toUpperCase())
    const answers = await Promise.all([
      a.call('b', ECHO, 'one', SOON),
      a.call('b', ECHO_BODY, 'two', SOON),
      a.call('b', ECHO, 'three', SOON),
    ])
    expect(answers).toEqual(['one from a', 'TWO', 'three from a'])
    expect(a.peers).toEqual(['b'])
  })

  test('tells progress in order before its answer', async () => {
    const { a, b } = await pair(createTestCluster({ duplicatePerMillion: 1_000_000 }))
    b.handle(COUNT, async (limit, context) => {
      for (let value = 1; value <= limit; value++) context.progress(value)
      return 'done'
    })
    const seen: number[] = []
    const answer = await a.call('b', COUNT, 4, { ...SOON, onProgress: (value) => seen.push(value) })
    expect({ answer, seen }).toEqual({ answer: 'done', seen: [1, 2, 3, 4] })
  })

  test('fails with the error of its handler: code, verdicts and plain details', async () => {
    const { a, b } = await pair()
    b.handle(ECHO, async () => {
      throw new AtollError('ATOLL_LOCKED', 'busy', {
        definite: false,
        transient: false,
        details: { bytes: 7, held: true, by: 'me', deep: {} },
        cause: new Error('inner'),
      })
    })
    const error = await a.call('b', ECHO, '', SOON).catch((e) => e)
    expect(error).toMatchObject({ code: 'ATOLL_LOCKED', message: 'busy', definite: false, transient: false })
    expect(error.details).toEqual({ bytes: 7, held: true, by: 'me' })
    expect(error.cause).toBeUndefined()
  })

  test('whose handler fails unexpectedly has an unknown outcome, and is logged there', async () => {
    const { a, b, errors } = await pair()
    b.handle(ECHO, () => {
      throw new Error('oops')
    })
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_STORAGE',
      definite: false,
    })
    expect(errors).toMatchObject([{ method: 'test.echo', from: 'a' }])
  })
})
