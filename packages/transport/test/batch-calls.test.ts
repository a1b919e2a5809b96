import { readFileSync } from 'node:fs'
import {
  AtollError,
  decodeWith,
  EMPTY_BYTES,
  encodeTuple,
  fromHex,
  TupleReader,
  toHex,
  utf8,
} from '@atoll/core'
import {
  BatchCalls,
  BatchServer,
  batchMethod,
  type Message,
  type MessageCodec,
  type Method,
  type RpcEndpoint,
} from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import { COUNT, createTestCluster, ECHO, ECHO_BODY, outcome, settle, text } from './world.ts'

const BATCH = batchMethod('test.batch')
const CAN = 'batches'
const SOON = { timeoutMs: 100 }
/** Answers when the test says so, or fails. */
const WAIT: Method<string, string> = { name: 'test.wait', request: text, response: text }

/** Two nodes; the first one has talked to the second, and what it asks from now on is written down. */
async function setUp(capabilities: readonly string[] = [CAN]) {
  const cluster = createTestCluster()
  const a = await cluster.endpoint('a', { capabilities: [CAN] })
  const b = await cluster.endpoint('b', { capabilities })
  const server = new BatchServer(b, BATCH, cluster.runtime)
  const handled: string[] = []
  server.handle(ECHO, async (request, { from }) => {
    handled.push(request)
    if (request.startsWith('bad')) throw new AtollError('ATOLL_LOCKED', request, { definite: true })
    return `${request} from ${from}`
  })
  server.handle(ECHO_BODY, async (request) => request)
  server.handle(COUNT, async (count, context) => {
    for (let at = 1; at <= count; at++) context.progress(at)
    return 'counted'
  })
  const waiting = new Map<string, (answer: string) => void>()
  server.handle(WAIT, (request) => new Promise((resolve) => waiting.set(request, resolve)))
  await a.call('b', ECHO, 'first', SOON)
  const asked: string[] = []
  const endpoint: Pick<RpcEndpoint, 'call' | 'capabilitiesOf'> = {
    capabilitiesOf: (node) => a.capabilitiesOf(node),
    call: (node, method, ...rest) => {
      asked.push(method.name)
      return a.call(node, method, ...rest)
    },
  }
  const calls = new BatchCalls({ endpoint, method: BATCH, capability: CAN })
  return { ...cluster, a, b, calls, asked, handled, waiting }
}

describe('calls of one turn', () => {
  test('go as one message, and each is answered by itself', async () => {
    const { calls, asked } = await setUp()
    const echoes = Array.from({ length: 10 }, (_, at) => calls.call('b', ECHO, `${at}`, SOON))
    const bodies = ['', 'x', 'y'.repeat(5000)].map((body) => calls.call('b', ECHO_BODY, body, SOON))
    expect(await Promise.all(echoes)).toEqual(Array.from({ length: 10 }, (_, at) => `${at} from a`))
    expect(await Promise.all(bodies)).toEqual(['', 'x', 'y'.repeat(5000)])
    expect(asked).toEqual([BATCH.name])
  })

  test('fail alone', async () => {
    const { calls, asked } = await setUp()
    const [good, bad, other] = await Promise.allSettled(
      ['good', 'bad', 'other'].map((request) => calls.call('b', ECHO, request, SOON)),
    )
    expect([good, other]).toEqual([
      { status: 'fulfilled', value: 'good from a' },
      { status: 'fulfilled', value: 'other from a' },
    ])
    expect(bad).toMatchObject({ reason: { code: 'ATOLL_LOCKED', message: 'bad', definite: true } })
    const unknown: Method<string, string> = { ...ECHO, name: 'test.unknown' }
    const broken: Method<string, string> = {
      ...ECHO,
      response: { encode: text.encode, decode: (reader) => `${reader.uint()}` },
    }
    const answers = await Promise.allSettled([
      calls.call('b', unknown, '', SOON),
      calls.call('b', broken, 'x', SOON),
      calls.call('b', ECHO, 'still', SOON),
    ])
    expect(answers).toMatchObject([
      { reason: { code: 'ATOLL_PROTOCOL', definite: true } },
      { reason: { code: 'ATOLL_CORRUPT', definite: false } },
      { value: 'still from a' },
    ])
    expect(asked).toEqual([BATCH.name, BATCH.name])
  })

  test('do not wait for those that take longer', async () => {
    const { calls, waiting, asked } = await setUp()
    const [slow, quick, slower] = [
      calls.call('b', WAIT, 'slow', SOON),
      calls.call('b', ECHO, 'quick', SOON),
      calls.call('b', WAIT, 'slower', SOON),
    ]
    expect(await quick).toBe('quick from a')
    waiting.get('slow')?.('late')
    expect(await slow).toBe('late')
    expect(await outcome(slower)).toEqual({ pending: true })
    waiting.get('slower')?.('last')
    expect(await slower).toBe('last')
    expect(asked).toEqual([BATCH.name])
  })

  test('are what is there at its end, and no more', async () => {
    const { calls, asked } = await setUp()
    const first = calls.call('b', ECHO, '1', SOON)
    const inStep = Promise.resolve().then(() => calls.call('b', ECHO, '2', SOON))
    await Promise.all([first, inStep])
    expect(asked).toEqual([BATCH.name])
    await calls.call('b', ECHO, '3', SOON)
    // Without company.
    expect(asked).toEqual([BATCH.name, ECHO.name])
  })

  test('are told nothing before they are answered', async () => {
    const { calls, asked } = await setUp()
    const counted = [3, 4].map((count) => calls.call('b', COUNT, count, SOON))
    expect(await Promise.all(counted)).toEqual(['counted', 'counted'])
    expect(asked).toEqual([BATCH.name])
  })

  test('go by themselves to a node of an earlier build', async () => {
    const { calls, asked } = await setUp([])
    const answers = await Promise.all(['1', '2'].map((request) => calls.call('b', ECHO, request, SOON)))
    expect(answers).toEqual(['1 from a', '2 from a'])
    expect(asked).toEqual([ECHO.name, ECHO.name])
  })

  test('go by themselves if they are long, and in more messages if they are many', async () => {
    const { calls, asked, handled } = await setUp()
    const long = 'z'.repeat(20_000)
    expect(await calls.call('b', ECHO_BODY, long, SOON)).toBe(long)
    expect(asked).toEqual([ECHO_BODY.name])
    handled.length = 0
    const numbers = Array.from({ length: 200 }, (_, at) => `${at}`)
    await Promise.all(numbers.map((number) => calls.call('b', ECHO, number, SOON)))
    expect(asked.slice(1)).toEqual(Array.from({ length: 4 }, () => BATCH.name))
    expect(handled).toEqual(numbers)
    const bodies = Array.from({ length: 40 }, () => 'b'.repeat(16_000))
    expect(await Promise.all(bodies.map((body) => calls.call('b', ECHO_BODY, body, SOON)))).toEqual(bodies)
    expect(asked.slice(5)).toEqual(Array.from({ length: 3 }, () => BATCH.name))
  })

  test('keep their own time', async () => {
    const { calls, clock, asked } = await setUp()
    const [short, long] = [
      calls.call('b', WAIT, 'short', { timeoutMs: 50 }),
      calls.call('b', WAIT, 'long', { timeoutMs: 500 }),
    ]
    short.catch(() => {})
    await settle()
    expect(asked).toHaveLength(2)
    await clock.advance(100)
    await expect(short).rejects.toMatchObject({ code: 'ATOLL_TIMEOUT', definite: false })
    expect(await outcome(long)).toEqual({ pending: true })
    await clock.advance(1000)
    await expect(long).rejects.toMatchObject({ code: 'ATOLL_TIMEOUT' })
  })

  test('are lost together, but for those that were answered', async () => {
    const { calls, network } = await setUp()
    const [quick, slow] = [calls.call('b', ECHO, 'quick', SOON), calls.call('b', WAIT, 'slow', SOON)]
    slow.catch(() => {})
    expect(await quick).toBe('quick from a')
    network.cut('b')
    await expect(slow).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: false })
  })

  test('fail alone where the answer is larger than a frame may be, and the others are answered', async () => {
    const cluster = createTestCluster()
    const a = await cluster.endpoint('a', { capabilities: [CAN] })
    const b = await cluster.endpoint('b', {
      capabilities: [CAN],
      maxBodyBytes: 4096,
      streamChunkBytes: 4096,
    })
    const server = new BatchServer(b, BATCH, cluster.runtime)
    const method: Method<string, string> = { name: 'test.load', request: text, response: ECHO_BODY.response }
    server.handle(method, async (bytes) => 'x'.repeat(Number(bytes)))
    let answer = (_: string) => {}
    server.handle(WAIT, () => new Promise((resolve) => (answer = resolve)))
    await a.call('b', method, '1', SOON)
    const calls = new BatchCalls({ endpoint: a, method: BATCH, capability: CAN })
    const slow = calls.call('b', WAIT, 'slow', SOON)
    const sizes = ['10', '300000', '5000', '20']
    const loads = Promise.allSettled(sizes.map((bytes) => calls.call('b', method, bytes, SOON)))
    await settle()
    answer('at last')
    expect(await slow).toBe('at last')
    const tooLarge = { reason: { code: 'ATOLL_TOO_LARGE', definite: false } }
    expect(await loads).toMatchObject([{ value: 'x'.repeat(10) }, tooLarge, tooLarge, {}])
  })

  test('are refused past a limit, definitely', async () => {
    const { calls } = await setUp()
    const many = Array.from({ length: 4097 }, (_, at) => calls.call('b', WAIT, `${at}`, SOON))
    for (const call of many) call.catch(() => {})
    await expect(many.at(-1)).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED', definite: true })
  })
})

describe('messages of batches', () => {
  const golden = Object.fromEntries(
    readFileSync(new URL('golden/batches-1.txt', import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' ')),
  )
  const error = new AtollError('ATOLL_LOCKED', 'busy', { details: { node: 'b' } })
  const messages = {
    requests: BATCH.request.encode([
      { method: 'm', fields: [7, 'x'], body: utf8('one') },
      { method: 'n', fields: [], body: EMPTY_BYTES },
      { method: 'm', fields: [8, null], body: utf8('two') },
    ]),
    answers: BATCH.response.encode([
      { at: 2, fields: [true], body: utf8('yes') },
      { at: 0, error },
      { at: 1, fields: [], body: EMPTY_BYTES },
    ]),
  }

  const bytesOf = ({ tuple, body = EMPTY_BYTES }: Message) => `${toHex(encodeTuple(1, tuple))}.${toHex(body)}`
  const read = <T>(codec: MessageCodec<T>, name: string): T => {
    const [tuple = '', body = ''] = (golden[name] ?? '').split('.')
    const decode = (reader: TupleReader) => codec.decode(reader, fromHex(body))
    return decodeWith({ name, version: 1, encode: () => [], decode }, fromHex(tuple))
  }

  test.each(Object.entries(messages))('%s are written as version 1 was', (name, message) => {
    expect(bytesOf(message)).toBe(golden[name])
  })

  test('are read as version 1 was', () => {
    const requests = read(BATCH.request, 'requests')
    expect(requests.map(({ method, body }) => [method, toHex(body)])).toEqual([
      ['m', toHex(utf8('one'))],
      ['n', ''],
      ['m', toHex(utf8('two'))],
    ])
    const answers = read(BATCH.response, 'answers')
    expect(answers).toMatchObject([
      { at: 2, body: utf8('yes') },
      { at: 0, error: { code: 'ATOLL_LOCKED', message: 'busy', details: { node: 'b' } } },
      { at: 1, body: EMPTY_BYTES },
    ])
  })

  test('are refused where bodies are not those that they say', () => {
    const reader = (tuple: unknown) => new TupleReader('a batch', tuple)
    const decode = () => BATCH.request.decode(reader([1, [['m', [7], 4]]]), utf8('five!'))
    expect(decode).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
    const many = Array.from({ length: 65 }, () => ['m', [], 0])
    expect(() => BATCH.request.decode(reader([1, many]), EMPTY_BYTES)).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT' }),
    )
    expect(() => BATCH.request.decode(reader([2, []]), EMPTY_BYTES)).toThrow(
      expect.objectContaining({ code: 'ATOLL_PROTOCOL' }),
    )
  })
})
