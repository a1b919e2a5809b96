import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

const HERE = '127.0.0.1'

/** The way by which all others reach a node, that can be cut. */
export class Cable {
  /** Where the others find the node. */
  readonly address: string
  /** Where the node has to listen. */
  readonly to: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isCut = false

  private constructor(
    server: Server,
    { address, port }: { readonly address: string; readonly port: number },
  ) {
    this.address = address
    this.to = `${HERE}:${port}`
    this.#server = server
    server.on('connection', (near) => this.#join(near, port))
  }

  static async lay(): Promise<Cable> {
    const server = await listening()
    const farEnd = await listening()
    const [address, port] = [`${HERE}:${portOf(server)}`, portOf(farEnd)]
    farEnd.close()
    await once(farEnd, 'close')
    return new Cable(server, { address, port })
  }

  /** Breaks every connection, and every new one until `mend`. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  mend(): void {
    this.#isCut = false
  }

  close(): void {
    this.cut()
    this.#server.close()
  }

  #join(near: Socket, port: number): void {
    const far = connect({ port, host: HERE, noDelay: true })
    near.setNoDelay(true)
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => into.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        into.destroy()
      })
      from.pipe(into)
    }
    if (this.#isCut) near.destroy()
  }
}

async function listening(): Promise<Server> {
  const server = createServer().listen(0, HERE)
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  const bound = server.address()
  if (typeof bound !== 'object' || bound === null) throw new Error('the server does not listen')
  return bound.port
}
