import { once } from 'node:events'
import { request, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { AtollError, type AtollNode, ERROR_CODES, isAtollErrorCode, openNode } from '@atoll/store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createService } from '../src/service.ts'
import { answerOf, isFault } from '../src/statuses.ts'

let node: AtollNode
let server: Server
let base: string
const errors: unknown[] = []

beforeAll(async () => {
  node = await openNode({ objects: { maxObjectBytes: 80_000_000 } })
  await node.objects.createBucket('photos')
  server = createService(node.objects, { onError: (error) => errors.push(error), lingerMs: 60_000 })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await node.close()
})

const put = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(`${base}${path}`, { method: 'PUT', body, headers })

describe('objects', () => {
  test('go in and come out, with their type and etag', async () => {
    const stored = await put('/photos/a/b.txt', 'Dear reader,', { 'content-type': 'text/plain' })
    expect(stored.status).toBe(201)
    const got = await fetch(`${base}/photos/a/b.txt`)
    expect([got.status, await got.text()]).toEqual([200, 'Dear reader,'])
    expect(got.headers.get('content-type')).toBe('text/plain')
    expect(got.headers.get('etag')).toBe(stored.headers.get('etag'))
    const head = await fetch(`${base}/photos/a/b.txt`, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '12'])
    const again = await fetch(`${base}/photos/a/b.txt`, {
      headers: { 'if-none-match': got.headers.get('etag') ?? '' },
    })
    expect(again.status).toBe(304)
    const weak = await fetch(`${base}/photos/a/b.txt`, {
      headers: { 'if-none-match': `"none", W/${got.headers.get('etag')}` },
    })
    expect(weak.status).toBe(304)
  })

  test.each(['if-match', 'if-none-match'])(
    'are not put by a condition that nobody looks at: %s',
    async (name) => {
      await put('/photos/guarded', 'first')
      const refused = await put('/photos/guarded', 'second', { [name]: '*' })
      expect(refused.status).toBe(501)
      expect(await (await fetch(`${base}/photos/guarded`)).text()).toBe('first')
    },
  )

  test.each([
    ['bytes=0-3', 206, 'Dear', 'bytes 0-3/12'],
    ['bytes=5-', 206, 'reader,', 'bytes 5-11/12'],
    ['bytes=-2', 206, 'r,', 'bytes 10-11/12'],
    ['bytes=20-', 416, undefined, 'bytes */12'],
    ['bytes=-0', 416, undefined, 'bytes */12'],
    ['lines=1-2', 200, 'Dear reader,', null],
  ])('answer the range %s', async (range, status, text, contentRange) => {
    await put('/photos/range', 'Dear reader,')
    const got = await fetch(`${base}/photos/range`, { headers: { range } })
    expect([got.status, got.headers.get('content-range')]).toEqual([status, contentRange])
    const body = await got.text()
    if (text !== undefined) expect(body).toBe(text)
  })

  test('answer a part of the version that the client has, and else all of the present one', async () => {
    const old = (await put('/photos/version', 'Dear writer,')).headers.get('etag') ?? ''
    const etag = (await put('/photos/version', 'Dear reader,')).headers.get('etag') ?? ''
    const get = async (ifRange: string) => {
      const headers = { range: 'bytes=5-', 'if-range': ifRange }
      const got = await fetch(`${base}/photos/version`, { headers })
      return [got.status, await got.text(), got.headers.get('content-range')]
    }
    const whole = [200, 'Dear reader,', null]
    expect(await get(etag)).toEqual([206, 'reader,', 'bytes 5-11/12'])
    expect(await get(old)).toEqual(whole)
    expect(await get(`W/${etag}`)).toEqual(whole)
    expect(await get(new Date().toUTCString())).toEqual(whole)
  })

  test('are listed page by page, and deleted', async () => {
    for (const key of ['1', '2', '3']) await put(`/photos/list/${key}`, key)
    const first = await (await fetch(`${base}/photos?prefix=list/&limit=2`)).json()
    expect(first).toMatchObject({ objects: [{ key: 'list/1' }, { key: 'list/2' }], next: expect.any(String) })
    expect((await fetch(`${base}/photos/list/1`, { method: 'DELETE' })).status).toBe(204)
    expect((await fetch(`${base}/photos/list/1`)).status).toBe(404)
  })
})

describe('what goes wrong', () => {
  test('has a status and a code', async () => {
    const missing = await fetch(`${base}/photos/none`)
    expect([missing.status, await missing.json()]).toMatchObject([404, { code: 'ATOLL_OBJECT_NOT_FOUND' }])
    expect((await fetch(`${base}/no-bucket/x`)).status).toBe(404)
    expect((await put('/Photos/x', 'x')).status).toBe(400)
    expect((await fetch(`${base}/photos/x`, { method: 'POST' })).status).toBe(405)
    expect((await fetch(`${base}/photos?limit=many`)).status).toBe(400)
  })

  test.each(['/%', '/photos/%zz', '//'])('is the fault of the client where the URL is %s', async (path) => {
    const asked = request({ host: '127.0.0.1', port: new URL(base).port, path }).end()
    const [answer] = await once(asked, 'response')
    answer.resume()
    expect(answer.statusCode).toBe(400)
  })

  test('has a status for every code, and hides what is none of the client', () => {
    for (const code of Object.keys(ERROR_CODES).filter(isAtollErrorCode)) {
      const { status, message } = answerOf(new AtollError(code, 'the reason'))
      expect(status, code).toBeGreaterThanOrEqual(400)
      expect(message === 'the reason', code).toBe(!isFault(status))
    }
    expect(answerOf(new Error('secret'))).toMatchObject({ status: 500, message: 'internal error' })
  })

  // Sent without a break: most of it is still to come when the service answers.
  test.each([
    ['the bucket is missing', '/no-bucket/x', 40_000_000, 404],
    ['the object becomes too large in the middle', '/photos/x', 100_000_000, 413],
  ])('is told a client that is still sending: %s', async (_, path, bytes, status) => {
    const upload = request(`${base}${path}`, { method: 'PUT' })
    const chunk = Buffer.alloc(1_000_000)
    let left = bytes / chunk.length
    const send = () => {
      while (left > 0 && upload.write(chunk)) left -= 1
      if (left === 0) upload.end()
    }
    upload.on('drain', send)
    send()
    const [answer] = await once(upload, 'response')
    expect(answer.statusCode).toBe(status)
    expect(JSON.parse(Buffer.concat(await answer.toArray()).toString())).toHaveProperty('code')
  })

  test('is told once: a client that never ends its body is cut off', async () => {
    const impatient = createService(node.objects, { lingerMs: 50 }).listen(0, '127.0.0.1')
    await once(impatient, 'listening')
    const { port } = impatient.address() as AddressInfo
    const upload = request({ host: '127.0.0.1', port, method: 'PUT', path: '/no-bucket/x' })
    upload.on('error', () => {})
    upload.write('the beginning')
    const [answer] = await once(upload, 'response')
    expect(answer.statusCode).toBe(404)
    const cut = once(upload, 'close')
    answer.resume()
    await cut
    impatient.close()
  })

  test('a client that hangs up in the middle of a get is no error', async () => {
    await put('/photos/long', new Uint8Array(32_000_000))
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const asked = once(server, 'request')
    socket.write('GET /photos/long HTTP/1.1\r\nhost: localhost\r\n\r\n')
    const [, response] = await asked
    await once(socket, 'data')
    const gone = once(response, 'close')
    socket.destroy()
    await gone
    // One more exchange, so that the service has seen how the other one ended.
    expect((await fetch(`${base}/photos/none`)).status).toBe(404)
    expect(errors).toEqual([])
  })

  test('a client that hangs up in the middle of a put leaves nothing behind', async () => {
    const upload = request(`${base}/photos/cut`, { method: 'PUT', headers: { 'content-length': '2000000' } })
    upload.on('error', () => {})
    upload.write(Buffer.alloc(1_000_000))
    await new Promise((resolve) => upload.once('drain', resolve))
    upload.destroy()
    expect((await fetch(`${base}/photos/cut`)).status).toBe(404)
  })
})

test('a client that does not read costs a few blocks, not the object', async () => {
  const size = 64 * 1024 * 1024
  await put('/photos/large', new Uint8Array(size))
  const delivered = () => node.metrics.value('atoll_objects_get_bytes_total')
  const before = delivered()
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.pause()
  socket.write('GET /photos/large HTTP/1.1\r\nhost: localhost\r\n\r\n')
  // It stands still once the buffers of both sockets are full: nothing more is taken from the store.
  let last = -1
  while (delivered() !== last || delivered() === before) {
    last = delivered()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  expect(delivered() - before).toBeLessThan(size / 4)
  socket.destroy()
})
