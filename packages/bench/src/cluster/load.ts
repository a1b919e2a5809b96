import { median } from './cluster-report.ts'
import type { PeerProcess } from './peer-process.ts'

const BODY_BYTES = 16 * 1024
/** Every node that is asked gets one request in such a time, whatever became of those before. */
const PAUSE_MS = 40
const KNOWN_OBJECTS = 40

interface Request {
  readonly begunMs: number
  readonly tookMs: number
  readonly isDone: boolean
}

/** Puts of new objects and gets of known ones in turn, at a steady pace, through every node that is asked. */
export class SteadyLoad {
  /** False while only gets are sent. */
  writes = true
  readonly #peers: readonly PeerProcess[]
  readonly #requests: Request[] = []
  readonly #underWay = new Set<Promise<void>>()
  #written: string[] = []
  #timers: NodeJS.Timeout[] = []
  #number = 0

  constructor(peers: readonly PeerProcess[]) {
    this.#peers = peers
  }

  async start(): Promise<void> {
    const [first] = this.#peers
    for (let n = 0; n < KNOWN_OBJECTS; n++) await first?.ask('put', `known ${n}`, BODY_BYTES)
    this.#timers = this.#peers.map((peer) => setInterval(() => this.#send(peer), PAUSE_MS))
  }

  /** Resolves when all that was asked is answered. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.answered()
  }

  /** Resolves when all that was asked until now is answered. */
  async answered(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  /** The keys that were put since this was asked last, and their bytes. */
  takeWritten(): { readonly keys: readonly string[]; readonly bytes: number } {
    const keys = this.#written
    this.#written = []
    return { keys, bytes: keys.length * BODY_BYTES }
  }

  /** How many requests begun in this time failed, and how long they took in the median. */
  between(fromMs: number, toMs: number): { readonly failed: number; readonly medianMs: number } {
    const begun = this.#requests.filter(({ begunMs }) => begunMs >= fromMs && begunMs < toMs)
    const failed = begun.filter(({ isDone }) => !isDone).length
    return { failed, medianMs: median(begun.map(({ tookMs }) => tookMs)) }
  }

  #send(peer: PeerProcess): void {
    const n = this.#number++
    const begunMs = performance.now()
    const key = `new ${n}`
    const puts = this.writes && n % 2 === 0
    const asked = puts ? peer.ask('put', key, BODY_BYTES) : peer.ask('get', `known ${n % KNOWN_OBJECTS}`)
    const note = (isDone: boolean) => {
      this.#requests.push({ begunMs, tookMs: performance.now() - begunMs, isDone })
    }
    const answered = Promise.resolve<unknown>(asked).then(
      () => {
        if (puts) this.#written.push(key)
        note(true)
      },
      () => note(false),
    )
    this.#underWay.add(answered)
    void answered.then(() => this.#underWay.delete(answered))
  }
}
