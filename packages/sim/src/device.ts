import { DiskError } from './disk-error.ts'
import { applyBatch, DiskImage, type Operation } from './disk-image.ts'
import type { Scheduler } from './event-queue.ts'
import type { DiskOptions, MicrosRange } from './options.ts'
import type { Entry, OrderedMap } from './ordered-map.ts'
import type { Prng } from './prng.ts'

/** One opening of the disk. Breaks when the machine loses power. */
export interface Session {
  broken: boolean
  /** Ends the operations that wait for the disk, in the order in which they began. */
  readonly pending: Set<() => void>
}

export interface Write {
  /** What to do to the map that the write finds when its turn comes. */
  readonly plan: (map: OrderedMap) => readonly Operation[]
  readonly bytes: number
  readonly sync: boolean
}

export interface DeviceIdentity {
  readonly name: string
  readonly note: (text: string) => void
}

export interface DeviceCollaborators {
  readonly scheduler: Scheduler
  readonly prng: Prng
}

/** Which of the coming operations fail: `count` of them, after the next `after`. */
export interface ArmedFailure {
  readonly count?: number
  readonly after?: number
}

const NO_FAILURE: Required<ArmedFailure> = { count: 0, after: 0 }

/** The machinery of a disk: time, order and failures of reads and writes. Writes happen one after the other. */
export class Device {
  readonly image: DiskImage
  readonly identity: DeviceIdentity
  readonly prng: Prng
  slowness = 1
  limitBytes = Number.POSITIVE_INFINITY
  /** Of that, what is left to writes that make room; 0 for a database that cannot say. */
  spareBytes = 0
  failingReads = NO_FAILURE
  failingWrites = NO_FAILURE
  /** Whether a failed write leaves half a record in the log. */
  readonly tornByFailure: boolean
  readonly #scheduler: Scheduler
  readonly #options: Required<DiskOptions>
  #session: Session | undefined
  /** When the last write that was begun will be done. */
  #busyUntilMs = 0
  /** The writes that were begun and are not done, in order. */
  readonly #writing = new Set<Write>()

  constructor(identity: DeviceIdentity, collaborators: DeviceCollaborators, options: Required<DiskOptions>) {
    this.identity = identity
    this.prng = collaborators.prng
    this.#scheduler = collaborators.scheduler
    this.#options = options
    this.tornByFailure = options.tornByFailure
    this.image = new DiskImage(options.maxUnsynced)
  }

  async attach(): Promise<Session> {
    if (this.#session !== undefined) {
      throw new DiskError('LEVEL_LOCKED', `disk ${this.identity.name} is open already`)
    }
    const session = { broken: false, pending: new Set<() => void>() }
    this.#session = session
    await this.#wait(session, { delayMs: this.#draw(this.#options.readMicros), action: 'open' })
    return session
  }

  /** False while there is only room for writes that make room. */
  get hasRoom(): boolean {
    return this.spareBytes === 0 || this.image.current.bytes + this.spareBytes < this.limitBytes
  }

  /** Waits for the writes that were begun. */
  async detach(session: Session): Promise<void> {
    if (session.broken) return
    const delayMs = Math.max(0, this.#busyUntilMs - this.#scheduler.nowMs)
    await this.#wait(session, { delayMs, action: 'close' }).catch(() => {})
    if (this.#session !== session) return
    this.#session = undefined
    this.image.reopen()
  }

  /** Takes the time that it takes to read these entries, and fails if it should. */
  async read(session: Session, entries: readonly (Entry | undefined)[]): Promise<void> {
    let bytes = 0
    for (const entry of entries) bytes += entry === undefined ? 0 : entry.key.length + entry.value.length
    const delayMs = this.#draw(this.#options.readMicros) + this.#transferMs(bytes)
    await this.#wait(session, { delayMs, action: 'read' })
    this.checkRead(session)
  }

  /** Throws if the next read must fail. */
  checkRead(session: Session): void {
    if (session.broken) throw powerLost()
    const { strikes, left } = strike(this.failingReads)
    this.failingReads = left
    if (strikes) throw this.#failure('a read failed')
  }

  async write(session: Session, write: Write): Promise<void> {
    const { writeMicros, syncMicros } = this.#options
    const ownMs = this.#draw(write.sync ? syncMicros : writeMicros) + this.#transferMs(write.bytes)
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.#scheduler.nowMs) + ownMs
    this.#writing.add(write)
    try {
      const delayMs = this.#busyUntilMs - this.#scheduler.nowMs
      await this.#wait(session, { delayMs, action: 'write', done: () => this.#finish(write) })
    } finally {
      this.#writing.delete(write)
    }
  }

  /** Cuts the power: of the unsynced batches and the write under way, the first so many are kept, as the seed has it. */
  loseUnsynced(): void {
    const [underWay] = this.#writing
    const { image } = this
    const candidates = image.unsynced + (underWay === undefined ? 0 : 1)
    const kept = this.prng.between(0, candidates)
    if (underWay !== undefined && kept === candidates) {
      image.replace(applyBatch(image.current, underWay.plan(image.current)), true)
    } else image.lose(kept)
    this.identity.note(`lost power, kept ${kept} of ${candidates} unsynced batches`)
    this.detachByForce()
  }

  /** Breaks the open session, if there is one. */
  detachByForce(): void {
    const session = this.#session
    this.#session = undefined
    this.image.reopen()
    this.#busyUntilMs = this.#scheduler.nowMs
    if (session === undefined) return
    session.broken = true
    for (const end of [...session.pending]) end()
  }

  #finish(write: Write): void {
    const { strikes, left } = strike(this.failingWrites)
    this.failingWrites = left
    if (strikes) throw this.#failedWrite('a write failed')
    const before = this.image.current
    const after = applyBatch(before, write.plan(before))
    if (after.bytes > this.limitBytes && after.bytes > before.bytes) {
      throw this.#failedWrite('no space left on device')
    }
    this.image.replace(after, write.sync)
  }

  #wait(session: Session, step: Step): Promise<void> {
    if (session.broken) return Promise.reject(powerLost())
    return new Promise((resolve, reject) => {
      const timer = this.#scheduler.schedule(step.delayMs, `${step.action} ${this.identity.name}`, () => {
        session.pending.delete(end)
        try {
          step.done?.()
          resolve()
        } catch (error) {
          reject(error)
        }
      })
      const end = () => {
        timer.cancel()
        session.pending.delete(end)
        reject(powerLost())
      }
      session.pending.add(end)
    })
  }

  #draw({ min, max }: MicrosRange): number {
    return (this.prng.between(min, max) * this.slowness) / 1000
  }

  #transferMs(bytes: number): number {
    return (bytes * this.slowness) / this.#options.bytesPerMs
  }

  #failedWrite(what: string): DiskError {
    if (this.tornByFailure) this.image.tear()
    return this.#failure(what)
  }

  #failure(what: string): DiskError {
    this.identity.note(what)
    return new DiskError('LEVEL_IO_ERROR', `disk ${this.identity.name}: ${what}`)
  }
}

interface Step {
  readonly delayMs: number
  readonly action: string
  /** What happens when the time has passed; what it throws is the outcome. */
  readonly done?: () => void
}

function strike({ count = 1, after = 0 }: ArmedFailure): { strikes: boolean; left: Required<ArmedFailure> } {
  if (count === 0) return { strikes: false, left: NO_FAILURE }
  if (after > 0) return { strikes: false, left: { count, after: after - 1 } }
  return { strikes: true, left: { count: count - 1, after: 0 } }
}

function powerLost(): DiskError {
  return new DiskError('LEVEL_IO_ERROR', 'the machine lost its power')
}
