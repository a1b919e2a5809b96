import { KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { ObjectStore } from '../src/index.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

/** Values as a caller without types may pass them. */
function anything(value: unknown): never {
  return value as never
}

function setUp() {
  const kv = new MemoryKv()
  return { kv, store: new ObjectStore(manualRuntime(), { kv }) }
}

test.each<[unknown, RegExp]>([
  ['', /3 to 63 characters, it has 0/],
  ['ab', /"ab" must have 3 to 63/],
  ['a'.repeat(64), /it has 64/],
  ['Reef', /"Reef" must consist of a-z/],
  ['reef_one', /must consist/],
  ['réef', /must consist/],
  ['reef/one', /must consist/],
  ['-reef', /begin and end each part/],
  ['reef-', /begin and end/],
  ['reef..one', /begin and end/],
  ['reef.-one', /begin and end/],
  ['.reef', /begin and end/],
  ['reef.', /begin and end/],
  ['192.168.0.1', /must not look like an IP address/],
  ['999.1.1.1', /IP address/],
  ['\ud800abc', /must consist/],
])('a bucket cannot be called %j', async (name, message) => {
  const { kv, store } = setUp()
  for (const call of [
    () => store.createBucket(anything(name)),
    () => store.headBucket(anything(name)),
    () => store.deleteBucket(anything(name)),
    () => store.put(anything(name), 'a', 'x'),
    () => store.get(anything(name), 'a'),
    () => store.list(anything(name)),
  ]) {
    const call$ = call()
    await expect(call$).rejects.toThrow(RangeError)
    await expect(call$).rejects.toThrow(message)
  }
  expect(kv.counts.size).toBe(0)
})

test.each(['abc', 'a'.repeat(63), '1.2.3', '1.2.3.4.5', '0reef-one.two', '192.168.0.256a'])(
  'a bucket may be called %s',
  async (name) => {
    const { store } = setUp()
    expect(await store.createBucket(name)).toMatchObject({ name })
  },
)

test.each<[unknown, typeof TypeError, RegExp]>([
  ['', RangeError, /key must have 1 to 1024 bytes of UTF-8, "" has 0/],
  ['a'.repeat(1025), RangeError, /has 1025/],
  ['ä'.repeat(513), RangeError, /has 1026/],
  ['a\ud800', RangeError, /well-formed Unicode/],
  ['\udc00\ud800', RangeError, /half of a character/],
  [undefined, TypeError, /key must be a string, got undefined/],
  [new Uint8Array(3), TypeError, /got 3 bytes/],
])('an object cannot have the key %j', async (key, type, message) => {
  const { kv, store } = setUp()
  for (const call of [
    () => store.put('reef', anything(key), 'x'),
    () => store.get('reef', anything(key)),
    () => store.head('reef', anything(key)),
    () => store.delete('reef', anything(key)),
    () => store.recordsOf('reef', anything(key)),
  ]) {
    await expect(call()).rejects.toThrow(type)
    await expect(call()).rejects.toThrow(message)
  }
  expect(kv.counts.size).toBe(0)
})

test('any other key goes', async () => {
  const { store } = setUp()
  await store.createBucket('reef')
  const keys = [
    '\0',
    '/',
    '//',
    '.',
    '..',
    'a\u0000b',
    'ä'.repeat(512),
    '🏝',
    '__proto__',
    ' ',
    '\ufeffbom',
    '\uffff',
  ]
  for (const key of keys) await store.put('reef', key, key)
  for (const key of keys) {
    const { body } = await store.get('reef', key)
    for await (const chunk of body) expect(chunk).toEqual(new TextEncoder().encode(key))
  }
  expect((await store.list('reef')).objects.length).toBe(keys.length)
})

test.each<[string, unknown, RegExp]>([
  ['number', 5, /body must be bytes, text or a stream of bytes, got 5/],
  ['nothing', undefined, /got undefined/],
  ['null', null, /got null/],
  ['object', {}, /got an object/],
  ['words', new Uint16Array(4), /got an object/],
  ['buffer', new ArrayBuffer(4), /got an object/],
  ['function', () => {}, /got a function/],
])('a body cannot be a %s', async (_name, body, message) => {
  const { kv, store } = setUp()
  await expect(store.put('reef', 'a', anything(body))).rejects.toThrow(TypeError)
  await expect(store.put('reef', 'a', anything(body))).rejects.toThrow(message)
  await expect(store.put('reef', 'a', 'half \ud83c')).rejects.toThrow(RangeError)
  expect(kv.counts.size).toBe(0)
})

test.each<[object, RegExp]>([
  [{ contentTyp: 'x' }, /put has no option "contentTyp"; it knows signal, contentType/],
  [{ contentType: 5 }, /contentType must be a string, got 5/],
  [{ contentType: 'x'.repeat(257) }, /at most 256 characters, it has 257/],
  [{ metadata: 'x' }, /metadata must be an object of strings, a Map, Headers or pairs of .*, got "x"/],
  [{ metadata: ['x'] }, /pairs of a name and a value, got "x" as one/],
  [{ metadata: [['x']] }, /got an array as one/],
  [{ metadata: [[5, 'x']] }, /metadata must have strings as names, got 5/],
  [{ metadata: new Map([['a', 5]]) }, /metadata.a must be a string, got 5/],
  [{ metadata: new Date() }, /metadata must be an object of strings, .* got an object/],
  [{ metadata: Promise.resolve({}) }, /got a promise/],
  [{ metadata: new Uint8Array(2) }, /got 0 as one/],
  [{ metadata: { 'a b': 'x' } }, /metadata must have names of letters, .* got "a b"/],
  [{ metadata: { '': 'x' } }, /got ""/],
  [{ metadata: { 'a\r\nb': 'x' } }, /metadata must have names of letters/],
  [{ metadata: { a: 'x\r\nSet-Cookie: y' } }, /metadata.a must have no control characters/],
  [{ metadata: { a: 'x\0' } }, /no control characters/],
  [
    {
      metadata: [
        ['a', '1'],
        ['a', '2'],
      ],
    },
    /each name once, got "a" twice/,
  ],
  [{ contentType: 'text/html\r\nX: y' }, /contentType must have no control characters/],
  [{ contentType: '' }, /contentType must have at least one character, got ""/],
  [{ metadata: { colour: 5 } }, /metadata.colour must be a string, got 5/],
  [{ metadata: { colour: '\ud800' } }, /metadata.colour must be well-formed/],
  [{ metadata: { colour: 'ä'.repeat(4 * KiB) } }, /at most 8192 bytes, it has 8198 up to "colour"/],
  [{ contentMd5: 'abc' }, /32 hexadecimal digits, got "abc"/],
  [{ contentMd5: new Uint8Array(16) }, /contentMd5 must be a string/],
  [{ length: -1 }, /length must be an integer from 0/],
  [{ length: '5' }, /length must be a number/],
  [{ signal: true }, /signal must be an AbortSignal, got true/],
  [{ onProgress: 5 }, /onProgress must be a function, got 5/],
])('a put cannot have the options %j', async (options, message) => {
  const { kv, store } = setUp()
  await expect(store.put('reef', 'a', 'x', options)).rejects.toThrow(message)
  expect(kv.counts.size).toBe(0)
})

test.each<[object, RegExp]>([
  [{ range: 5 }, /range must be an object, got 5/],
  [{ range: { start: -1 } }, /range.start must be an integer from 0/],
  [{ range: { start: 5, end: 5 } }, /range.end must be an integer from 6/],
  [{ range: { start: 1.5 } }, /got 1.5/],
  [{ range: { begin: 1 } }, /range has no option "begin"/],
  [{ range: { end: 1 } }, /range.start must be a number, got undefined/],
  [{ range: { suffixLength: 0 } }, /range.suffixLength must be an integer from 1/],
  [{ range: { suffixLength: 1, start: 2 } }, /no option "start"/],
  [{ offset: 1 }, /get has no option "offset"/],
])('a get cannot have the options %j', async (options, message) => {
  const { kv, store } = setUp()
  await expect(store.get('reef', 'a', options)).rejects.toThrow(message)
  expect(kv.counts.size).toBe(0)
})

test.each<[object, RegExp]>([
  [{ limit: 0 }, /limit must be an integer from 1 to 1000, got 0/],
  [{ limit: 1001 }, /got 1001/],
  [{ delimiter: '' }, /delimiter must have at least one character/],
  [{ prefix: 5 }, /prefix must be a string, got 5/],
  [{ after: '\ud800' }, /after must be well-formed/],
  [{ maxKeys: 5 }, /list has no option "maxKeys"/],
])('a list cannot have the options %j', async (options, message) => {
  const { kv, store } = setUp()
  await expect(store.list('reef', options)).rejects.toThrow(message)
  expect(kv.counts.size).toBe(0)
})

test.each<[object, RegExp]>([
  [{ leewayMs: -1 }, /leewayMs must be an integer from 0/],
  [{ now: 'today' }, /now must be a number/],
  [{ leeway: 1 }, /collect has no option "leeway"/],
])('a collection cannot have the options %j', async (options, message) => {
  const { kv, store } = setUp()
  await expect(store.collect(options)).rejects.toThrow(message)
  expect(kv.counts.size).toBe(0)
})

test.each<[object, RegExp]>([
  [{ blockBytes: 4095 }, /blockBytes must be an integer from 4096 to 8388608, got 4095/],
  [{ inlineBytes: -1 }, /inlineBytes/],
  [{ writeConcurrency: 0 }, /writeConcurrency must be an integer from 1 to 64/],
  [{ readAhead: 65 }, /readAhead/],
  [{ maxKeyBytes: 0 }, /maxKeyBytes/],
  [{ maxMetadataBytes: '1' }, /maxMetadataBytes must be a number/],
  [{ maxVersions: 9 }, /maxVersions/],
  [{ leaseMs: 999 }, /leaseMs/],
  [{ blockPatienceMs: -1 }, /blockPatienceMs must be an integer from 0 to 600000/],
  [{ collectConcurrency: 0 }, /collectConcurrency/],
  [
    { blockBytes: 4096, maxObjectBytes: 2 ** 32 + 1 },
    /maxObjectBytes must be an integer from 0 to 4294967296/,
  ],
  [{ blockSize: 4096 }, /object store options has no option "blockSize"/],
])('a store cannot have the options %j', (options, message) => {
  expect(() => new ObjectStore(manualRuntime(), { kv: new MemoryKv() }, options)).toThrow(message)
})
