import { connect, createServer, type Server, type Socket } from 'node:net'

/** A way between two nodes that can go silent without a word, as a cable does that is pulled. */
export class Cable {
  address = ''
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** The far end of every near one. */
  readonly #far = new Map<Socket, Socket>()

  constructor(to: string) {
    const port = Number(to.slice(to.lastIndexOf(':') + 1))
    this.#server = createServer((near) => {
      const far = connect({ port, host: '127.0.0.1' })
      this.#far.set(near, far)
      for (const [from, into] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from)
        from.pipe(into)
        from.on('error', () => into.destroy())
        from.on('close', () => into.destroy())
      }
    })
  }

  listen(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        const bound = this.#server.address()
        if (typeof bound === 'object' && bound !== null) this.address = `127.0.0.1:${bound.port}`
        resolve()
      })
    })
  }

  /** Passes these bytes as the last ones to the far end, and then breaks. */
  cutAfter(bytes: Uint8Array): void {
    for (const near of this.#far.keys()) near.unpipe()
    for (const far of this.#far.values()) far.end(bytes, () => this.close())
  }

  /** What the far ends say waits, as if the near ones did not read. */
  holdBack(): void {
    for (const far of this.#far.values()) far.unpipe().pause()
  }

  /** Ends `holdBack`. */
  letGo(): void {
    for (const [near, far] of this.#far) far.pipe(near)
  }

  /** Nothing passes any more, and nobody is told. */
  freeze(): void {
    for (const socket of this.#sockets) socket.unpipe().pause()
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}
