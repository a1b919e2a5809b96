import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { concatBytes, type Log, MiB } from '@atoll/core'
import { encodeFrame } from '@atoll/transport'
import { tcpTransport } from '@atoll/transport-tcp'
import { afterEach, describe, expect, test } from 'vitest'
import { encodePiece, ORDINARY } from '../src/protocol.ts'
import { createDoor, enter } from './door.ts'
import { createParty, createRuntime, Diary, listen, SECRET, SOON, until } from './world.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Sockets that say nothing, and come back as soon as they are sent away, until they are called off. */
async function pesterWith(count: number, port: number): Promise<() => number> {
  let opened = 0
  let isOver = false
  const sockets = new Set<Socket>()
  const open = () => {
    if (isOver) return
    opened += 1
    const socket = connectSocket({ port, host: '127.0.0.1' }).resume()
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      setImmediate(open)
    })
  }
  for (let at = 0; at < count; at++) open()
  cleanups.push(() => {
    isOver = true
    for (const socket of sockets) socket.destroy()
  })
  await Promise.all([...sockets].map((socket) => once(socket, 'connect').catch(() => {})))
  return () => opened
}

describe('a crowd at the door', () => {
  test('keeps no node out, from whichever address it comes', async () => {
    const server = createParty('n2', { maxHandshakes: 64, maxHandshakesPerAddress: 16 })
    const { address, listener } = await listen(server)
    cleanups.push(() => listener.close())
    const opened = await pesterWith(300, Number(address.split(':')[1]))
    for (let at = 0; at < 20; at++) {
      // Drawn by bad luck, a node calls again.
      let connection: Diary | undefined
      for (let tries = 0; connection === undefined && tries < 20; tries++)
        connection = await createParty(`n${at + 10}`)
          .transport.connect(address, SOON)
          .then(
            (made) => new Diary(made),
            () => undefined,
          )
      expect(connection).toBeDefined()
      connection?.connection.close()
    }
    expect(opened()).toBeGreaterThanOrEqual(300)
    expect(server.metrics.value('atoll_tcp_refused_total', { reason: 'limit' })).toBeGreaterThan(200)
  })

  test('makes one line of the log, and not one for each of them', async () => {
    const lines: object[] = []
    const log: Log = {
      debug: () => {},
      info: () => {},
      warn: (facts) => lines.push(facts),
      error: () => {},
    }
    const { runtime, metrics } = createRuntime()
    const options = { node: 'n2', cluster: 'reef', secret: SECRET, maxHandshakesPerAddress: 4 }
    const transport = tcpTransport({ ...runtime, log }, options)
    const listener = await transport.listen('127.0.0.1:0', () => {})
    cleanups.push(() => listener.close())
    await pesterWith(100, Number(listener.address.split(':')[1]))
    await until(() => metrics.value('atoll_tcp_refused_total', { reason: 'limit' }) > 90)
    expect(lines.filter((facts) => 'reason' in facts && facts.reason === 'limit')).toHaveLength(1)
  })
})

describe('frames of which a part has arrived', () => {
  const body = new Uint8Array(8 * MiB)
  /** All but the last byte of a frame, in pieces of a lane. */
  const partial = (() => {
    const bytes = concatBytes(encodeFrame({ head: new Uint8Array(8), body })).subarray(0, 3 * MiB)
    const pieces = Array.from({ length: 3 }, (_, at) => bytes.subarray(at * MiB, (at + 1) * MiB))
    return pieces.map((piece) => encodePiece(ORDINARY, piece))
  })()

  test('are held within one limit for all connections; the one that takes longest is given up', async () => {
    const limit = 40 * MiB
    const { open, metrics, partials } = createDoor({ maxPartialBytes: limit })
    const doors = Array.from({ length: 60 }, () => open())
    for (const [at, { near }] of doors.entries()) {
      await enter(near, `n${at + 10}`)
      for (const piece of partial) near.write(piece)
      await until(
        () => partials.bytes > 0 && metrics.value('atoll_tcp_received_bytes_total') > (at + 1) * 3 * MiB,
      )
      expect(partials.bytes).toBeLessThanOrEqual(limit)
    }
    const left = doors.filter(({ seen }) => seen.connection !== undefined && seen.error === undefined)
    // Five arrays of 8 MiB fit, less the heads: the last ones to come.
    expect(left).toEqual(doors.slice(-4))
    expect(metrics.value('atoll_tcp_lost_total', { reason: 'limit' })).toBe(56)
  })

  test('are let go of with their connection', async () => {
    const { open, partials } = createDoor()
    const { near, seen } = open()
    await enter(near, 'n1')
    for (const piece of partial) near.write(piece)
    await until(() => partials.bytes > 8 * MiB)
    near.end()
    await until(() => seen.error !== undefined)
    expect(partials.bytes).toBe(0)
  })
})
