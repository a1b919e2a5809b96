import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import type { TlsFiles } from '@atoll/transport-tcp'
import type { BareServers } from './commands.ts'

/** What a sink answers once. Not of `@atoll/core`: the other process imports no packages but those that it measures. */
export const BODY_BYTES = 1024 * 1024

export async function bareServers(tls: TlsFiles<string> | undefined): Promise<BareServers> {
  const echo = await serve(tls, (socket) => socket.on('data', (bytes) => socket.write(bytes)))
  const sink = await serve(tls, (socket) => {
    let taken = 0
    socket.on('data', ({ length }) => {
      for (taken += length; taken >= BODY_BYTES; taken -= BODY_BYTES) socket.write(ANSWER)
    })
  })
  return { echo, sink }
}

const ANSWER = Uint8Array.of(6)
const HOST = '127.0.0.1'

/** Serves at any free port, which is answered, until the process ends. */
export async function serve(
  tls: TlsFiles<string> | undefined,
  onSocket: (socket: Socket) => void,
): Promise<number> {
  const server: Server =
    tls === undefined
      ? createServer({ noDelay: true }, onSocket)
      : createTlsServer({ ...tls, requestCert: true, noDelay: true }, onSocket)
  server.listen(0, HOST)
  await once(server, 'listening')
  const address = server.address()
  if (typeof address === 'string' || address === null) throw new Error('a TCP server has a port')
  return address.port
}

/** Connects to a server of this machine. */
export async function dial(port: number, tls: TlsFiles<string> | undefined): Promise<Socket> {
  if (tls === undefined) {
    const socket = connect({ host: HOST, port, noDelay: true })
    await once(socket, 'connect')
    return socket
  }
  const socket = connectTls({ ...tls, host: HOST, port, checkServerIdentity: () => undefined })
  socket.setNoDelay()
  await once(socket, 'secureConnect')
  return socket
}
