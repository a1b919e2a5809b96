import type { Socket } from 'node:net'
import type { TlsFiles } from '@atoll/transport-tcp'
import { dial } from './bare-servers.ts'

/** Sends bytes to a bare server that answers each time with as many as was agreed. */
export class BareClient {
  readonly #socket: Socket
  readonly #waiting: (() => void)[] = []
  #taken = 0

  private constructor(socket: Socket, answerBytes: number) {
    this.#socket = socket
    socket.on('data', ({ length }) => {
      for (this.#taken += length; this.#taken >= answerBytes; this.#taken -= answerBytes) {
        this.#waiting.shift()?.()
      }
    })
  }

  static async dial(
    port: number,
    tls: TlsFiles<string> | undefined,
    answerBytes: number,
  ): Promise<BareClient> {
    return new BareClient(await dial(port, tls), answerBytes)
  }

  exchange(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#socket.write(bytes)
    })
  }

  close(): void {
    this.#socket.destroy()
  }
}
