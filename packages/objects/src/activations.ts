import { AtollError, behindWrite, describe, toHex, wallTimeOf } from '@atoll/core'
import {
  activateAll,
  ascend,
  comparePlaces,
  type Upload as Finished,
  type History,
  isRemoved,
  latestMark,
  type Mark,
  visibleOf,
} from './history.ts'
import type { Layer } from './layer.ts'
import {
  crowded,
  type HistoryRead,
  type Known,
  NOTHING_KNOWN,
  REWRITE_ROUNDS,
  turnOf,
} from './manifest-records.ts'
import type { PlacedObject } from './object-name.ts'
import type { KvStoreWritten } from './ports.ts'
import type { WriteQuorumOptions } from './quorums.ts'
import type { PutRequest } from './requests.ts'
import type { Upload } from './upload.ts'
import type { Seat, WriteGroups } from './write-groups.ts'

export interface PutResult {
  readonly size: number
  /** MD5 of the body, 32 hexadecimal digits. */
  readonly etag: string
  readonly lastModifiedMs: number
  /**
   * How many primaries had each part of the object on disk when the call was answered: the fewest of any part. With n -
   * r + 1 (2 of 3 replicas), no reader takes the object for absent whatever happens; with 0, all of it lies with nodes
   * that stood in. A replica that is being filled, while n goes up, does not count.
   */
  readonly primaries: number
}

/** An upload that is to become the latest version. */
export interface Candidate {
  /** Digests a body that is inline, when its turn has come: else the first put would wait for the digests of all. */
  readonly finish: () => Promise<Finished>
  /** Where the blocks came from; undefined if the body is inline. */
  readonly upload: Upload | undefined
}

interface Ready {
  readonly seat: Seat<Candidate, PutResult>
  readonly finished: Finished
}

/** Uploads that become versions by one write, each over the one before it: so the last one is what readers see. */
interface Activation {
  readonly quorum: WriteQuorumOptions
  readonly name: PlacedObject
  /** All with blocks, or all inline. */
  readonly ready: readonly Ready[]
}

interface Activated {
  readonly written: KvStoreWritten
  readonly lastModifiedMs: number
  /** The place of the version that was written. */
  readonly mark: Mark
}

/** Makes uploads versions of their objects. Those that wait for each other at this node become versions by one write. */
export class Activations {
  readonly #layer: Layer
  readonly #groups: WriteGroups<Candidate, PutResult>

  constructor(layer: Layer) {
    this.#layer = layer
    this.#groups = layer.manifests.groups()
  }

  /**
   * Makes the upload the latest version. Once something is written the call cannot be aborted: its outcome is told as
   * it is.
   */
  activate(name: PlacedObject, candidate: Candidate, { signal, quorum }: PutRequest): Promise<PutResult> {
    const kind = () => {
      const where = candidate.upload === undefined ? 'inline' : 'blocks'
      return `${where} ${name.id.type} ${JSON.stringify(quorum)}`
    }
    return this.#groups.join({
      key: turnOf(name.id),
      kind,
      value: candidate,
      signal,
      run: (seats) =>
        this.#layer.manifests.inLine(quorum, seats, async (present) => {
          const ready = await allReady(present)
          if (ready.length > 0) await this.#activate({ name, quorum, ready })
        }),
    })
  }

  /**
   * What is known is written upon, if there is nothing else: the number of the version, which may be too small, does not
   * matter then. If there is something else after all, the record is read, and the version is written again on top of it,
   * unless a later writer has done so already. An upload in blocks writes on condition that its proof still stands.
   */
  async #activate(activation: Activation): Promise<void> {
    const { name, ready, quorum } = activation
    const [only] = ready
    if (only !== undefined && ready.length === 1 && only.seat.begin()) {
      const { upload } = only.seat.value
      const known = upload === undefined ? NOTHING_KNOWN : upload.known
      const condition = upload === undefined ? { ifAlone: true } : ({ ifUnchanged: 'one' } as const)
      const write = (each: Known) => this.#layer.manifests.write(name.id, each, condition, quorum)
      const activated = known && (await this.#write(activation, known, write))
      if (activated?.written.alone) return this.#answer(activation, activated)
      if (activated !== undefined && activated.written.accepted > 0)
        return await behindWrite(() => this.#confirm(activation, activated))
      only.seat.declined()
    }
    await this.#upon(activation)
  }

  /** Reads and writes until nothing has come in between. */
  async #upon({ name, quorum, ready }: Activation): Promise<void> {
    const { manifests } = this.#layer
    for (let round = 0; round < REWRITE_ROUNDS; round++) {
      if (ready.every(({ seat }) => seat.isOver)) return
      const read = await manifests.read(name.id)
      const beginning = alive(ready, read.history).filter(({ seat }) => seat.begin())
      const writing = { name, quorum, ready: beginning }
      if (beginning.length === 0) return
      const activated = await this.#writeUpon(writing, read, { round })
      const { accepted, alone } = activated.written
      if (accepted > 0 && !alone && isInBlocks(writing))
        return await behindWrite(() => this.#confirm(writing, activated))
      if (accepted > 0) return this.#answer(writing, activated)
      for (const { seat } of beginning) seat.declined()
      await manifests.pause(round)
    }
    throw crowded()
  }

  /**
   * The version is written; whether it also is the latest is seen now. If it is not it is written again on top of what
   * is there, and then until it is known what became of it. One with blocks that is there is not made a version once
   * more: two that were written at the same time, and again on top of each other, would each retire the other. What holds
   * for the last one of several holds for those before it, which it has overwritten.
   */
  async #confirm(activation: Activation, first: Activated): Promise<void> {
    const { manifests, runtime } = this.#layer
    let last = first
    for (let round = 0; round <= REWRITE_ROUNDS; round++) {
      const read = await manifests.read(activation.name.id)
      const isEnough = last === first ? isSettled(read, last.mark) : isKnown(read, last.mark)
      if (isEnough) return this.#answer(activation, last)
      runtime.probe.mark('objects.put.activated-again')
      const stays = isInBlocks(activation) && isThere(read, last.mark)
      const again = await this.#writeUpon(activation, read, { round, stays })
      if (again.written.accepted > 0) last = again
      else await manifests.pause(round)
    }
    throw last === first ? crowded() : nowhere(activation.name)
  }

  #writeUpon(
    activation: Activation,
    read: HistoryRead,
    { round, stays = false }: { readonly round: number; readonly stays?: boolean },
  ): Promise<Activated> {
    const { name, ready, quorum } = activation
    const own = ready.at(-1)?.finished.uuid
    const over = { own, strict: isInBlocks(activation), round, quorum }
    const write = (known: Known) => this.#layer.manifests.over(name.id, known, over)
    return this.#write(activation, read, write, stays ? ascendLast : activateAll)
  }

  async #write(
    { name, ready }: Activation,
    { history: before, context }: Known,
    write: (known: Known) => Promise<KvStoreWritten>,
    change: typeof activateAll = activateAll,
  ): Promise<Activated> {
    const lastModifiedMs = wallTimeOf(this.#layer.runtime.clock)
    const finished = ready.map((each) => each.finished)
    const history = change(before, finished, lastModifiedMs)
    this.#checkRoom(name, history)
    const uploads = ready.flatMap(({ seat }) => seat.value.upload ?? [])
    const declined = uploads.filter(({ mayBeVisible }) => !mayBeVisible)
    for (const upload of uploads) upload.mayBeVisible = true
    const written = await write({ history, context })
    if (written.accepted === 0) for (const upload of declined) upload.mayBeVisible = false
    return { written, lastModifiedMs, mark: latestMark(history, lastModifiedMs) }
  }

  #answer({ ready }: Activation, { written, lastModifiedMs }: Activated): void {
    const { metrics, probe } = this.#layer.runtime
    if (ready.length > 1) probe.mark('objects.put.written-together')
    for (const { seat, finished } of ready) {
      const { upload } = seat.value
      const { size, md5 } = finished.content
      metrics.count('atoll_objects_put_bytes_total', size)
      const primaries = Math.min(written.primaries, upload?.primaries ?? written.primaries)
      seat.resolve({ size, etag: toHex(md5), lastModifiedMs, primaries })
    }
  }

  #checkRoom({ bucket, key }: PlacedObject, { manifests }: History): void {
    const { maxVersions } = this.#layer.settings
    if (manifests.size <= maxVersions) return
    const message = `object ${describe(key)} of bucket "${bucket}" has ${maxVersions} versions that wait for collection: collect with a shorter leeway, or raise objects.maxVersions`
    throw new AtollError('ATOLL_OVERLOADED', message, { details: { reason: 'versions', maxVersions } })
  }
}

function isInBlocks({ ready }: Activation): boolean {
  return ready.some(({ seat }) => seat.value.upload !== undefined)
}

async function allReady(seats: readonly Seat<Candidate, PutResult>[]): Promise<readonly Ready[]> {
  const [first, ...others] = seats
  if (first === undefined || others.length > 0)
    return (await Promise.all(seats.map(readyOf))).filter((each) => each !== undefined)
  const ready = await readyOf(first)
  return ready === undefined ? [] : [ready]
}

/** Who cannot be finished, since its body is not what was announced, is told so by itself. */
async function readyOf(seat: Seat<Candidate, PutResult>): Promise<Ready | undefined> {
  if (seat.isOver) return undefined
  try {
    return { seat, finished: await seat.value.finish() }
  } catch (error) {
    seat.reject(error)
    return undefined
  }
}

/** Those whose uploads nobody has decided against; the others are answered. */
function alive(ready: readonly Ready[], history: History): readonly Ready[] {
  return ready.filter(({ seat }) => {
    if (seat.isOver) return false
    try {
      seat.value.upload?.checkAlive(history)
      return true
    } catch (error) {
      seat.reject(error)
      return false
    }
  })
}

const ascendLast: typeof activateAll = (history, uploads, nowMs) =>
  ascend(history, uploads.at(-1)?.uuid ?? '', nowMs)

/**
 * Whether a version that was written needs nothing more: it is all that is seen and there is nothing beside it, or
 * overtaken.
 */
function isSettled(read: HistoryRead, mark: Mark): boolean {
  if (!isThere(read, mark)) return isOvertaken(read, mark)
  return read.siblings.length === 1 && visibleOf(read.history)?.uuid === mark.uuid
}

function nowhere({ bucket, key }: PlacedObject): AtollError {
  const message = `object ${describe(key)} of bucket "${bucket}" was written again and again, and nobody has it`
  return new AtollError('ATOLL_QUORUM_UNMET', message, { definite: false })
}

function isKnown(read: HistoryRead, mark: Mark): boolean {
  return isThere(read, mark) || isOvertaken(read, mark)
}

function isThere({ siblings }: HistoryRead, { uuid }: Mark): boolean {
  return siblings.some(({ manifests }) => manifests.get(uuid)?.state === 'active')
}

/**
 * Whether a later writer has gone on from the version, or from one that hides it. That it is nowhere to be seen is no
 * proof of that: a replica may have taken it for something that it knew. Inline versions leave no name behind when they
 * are retired, so that one which was lost, and would have been hidden all the same by a clock that is ahead, passes for
 * overtaken.
 */
function isOvertaken({ history }: HistoryRead, mark: Mark): boolean {
  const left = history.manifests.get(mark.uuid)
  return comparePlaces(mark, history.retired) <= 0 || (left !== undefined && isRemoved(left))
}
