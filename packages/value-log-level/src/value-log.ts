import { equalBytes } from '@atoll/core'
import { Applier } from './applier.ts'
import type { Checkpoint, LogPosition } from './checkpoint.ts'
import { Checkpointer, settleInner, writeCheckpoint } from './checkpointer.ts'
import { corrupt } from './checksum.ts'
import { Compactor } from './compactor.ts'
import { FilePool } from './file-pool.ts'
import { Housekeeper } from './housekeeper.ts'
import { IndexCompactor } from './index-compactor.ts'
import { InnerReads } from './inner-reads.ts'
import { Log } from './log.ts'
import { LogReader } from './log-reader.ts'
import {
  indexMissing,
  inspectDirectory,
  listSlots,
  loadCheckpoint,
  type OpenChoice,
  openInner,
  writeNote,
} from './open-directory.ts'
import type { ValueLogSettings } from './options.ts'
import { Others } from './others.ts'
import { Overlay } from './overlay.ts'
import { unpaired } from './pairing.ts'
import type { Files, InnerLevel, ValueLogRuntime } from './ports.ts'
import { Readers } from './readers.ts'
import type { Origin } from './record-decoder.ts'
import { Recovery, type RecoveryContext } from './recovery.ts'
import { Room } from './room.ts'
import { SALT_BYTES, saltOf } from './salt.ts'
import { decodeSegmentHeader, FIRST_RECORD_OFFSET } from './segment-file.ts'
import { Segments } from './segments.ts'
import { storing } from './storage-error.ts'
import { ValueReader } from './value-reader.ts'

/** What a value log is made of. */
export interface ValueLogParts {
  /**
   * The database for keys, pointers and small values. It is opened and closed with the value log: make it in the same turn,
   * so that it does not open itself before.
   */
  readonly inner: InnerLevel
  /** The directory for the segments: `nodeFiles(path)`, or a simulated one. */
  readonly files: Files
  /**
   * Tells, and changes nothing by it, whether the inner database is there. Asked before one is opened that must be there:
   * some databases delete or rename files as soon as they are opened.
   */
  readonly innerExists?: () => Promise<boolean>
  /**
   * The directory of the inner database, for what `space` says of it: `nodeFiles(path)`. It is prepared when a log
   * begins: by then the inner database has made it, and a power cut must leave it.
   */
  readonly innerFiles?: Pick<Files, 'label' | 'usedBytes'> & Partial<Pick<Files, 'prepare'>>
}

interface Opening extends ValueLogParts {
  readonly runtime: ValueLogRuntime
  readonly settings: ValueLogSettings
}

/** An open value log. */
export interface ValueLog {
  readonly log: Log
  readonly overlay: Overlay
  readonly reads: InnerReads
  readonly readers: Readers
  readonly segments: Segments
  readonly values: ValueReader
  readonly compactor: Compactor
  readonly room: Room
  readonly close: () => Promise<void>
  /** Closes what has failed: without a word to the disk, and without waiting for readers, who hear of it. */
  readonly abandon: () => Promise<void>
}

/**
 * Opens the inner database and the directory, and brings them in step. On failure everything is closed again.
 *
 * The inner database comes first: the operating system holds its lock for this process, and gives it up when the process
 * ends, however that comes about. Only the one inner database that has the identity of the directory is let near it, so that
 * this lock guards both against other processes. Within one process LevelDB knows a directory only by the name that it is
 * given: whoever opens it sees to it that this is one name, and that it is opened once.
 */
export async function openValueLog(opening: Opening, choice: OpenChoice): Promise<ValueLog> {
  const { files, inner } = opening
  const { exists, oldLocks } = await inspectDirectory(files, choice)
  if (exists && (await opening.innerExists?.()) === false) throw indexMissing(files)
  const pool = new FilePool(files, opening.settings.maxOpenFiles)
  await openInner(opening, { mustExist: exists })
  try {
    const opened = await assemble(opening, pool)
    for (const name of oldLocks) await storing(`removing ${name}`, () => files.remove(name))
    return opened
  } catch (error) {
    await pool.closeAll().catch(() => {})
    await inner.close().catch(() => {})
    throw error
  }
}

async function assemble(opening: Opening, pool: FilePool): Promise<ValueLog> {
  const { runtime, inner, files, settings } = opening
  const { crc32 } = runtime.digest
  const { checkpoint, isNoted } = await loadCheckpoint(runtime, opening)
  const { segments, unfinished } = await loadSegments(opening, pool, checkpoint)
  if (checkpoint.position === undefined) await checkUnwritten({ crc32, pool, segments, label: files.label })
  if (!isNoted) {
    await checkReach({ crc32, pool, segments, label: files.label }, checkpoint)
    await writeNote(files, checkpoint)
  }
  const values = new ValueReader(runtime, pool)
  const reads = new InnerReads(inner, runtime.clock)
  const applier = new Applier(inner, reads, { segments, thresholdBytes: settings.thresholdBytes })
  const origin = originOf(checkpoint)
  await checkUnfinished({ crc32, pool, origin, label: files.label }, unfinished)
  const position = await recover({ crc32, pool, segments, applier, values, origin }, checkpoint, runtime)
  for (const slot of unfinished) {
    await storing(`removing a segment of ${files.label}`, () => segments.discard(slot))
  }
  await storing('preallocating segments', () => segments.preallocate(settings.preallocateBytes))
  if (position.sequence !== checkpoint.position?.sequence) await settleInner(inner)
  const opened = nextOpening(checkpoint, { position, segments, salt: runtime.random.bytes(SALT_BYTES) })
  const note = (of: Checkpoint) => writeNote(files, of)
  await writeCheckpoint(inner, opened)
  await note(opened)

  const overlay = new Overlay()
  const readers = new Readers()
  const log = new Log(
    { runtime, settings, pool, segments, overlay, applier },
    { position, salt: saltOf(opened.salt) },
  )
  const checkpointer = new Checkpointer({ runtime, inner, segments, readers, log, opened, note })
  const room = new Room(runtime, files, settings.spareBytes)
  const others = new Others(runtime.clock, log, readers)
  const parts = { files, room, inner, pool, segments, readers, values, log, others, checkpointer }
  const context = { runtime, settings, crc32, ...parts }
  const compactor = new Compactor(context)
  runtime.metrics.gauge('atoll_value_log_live_bytes', segments.totalLive)
  const index = new IndexCompactor({ ...context, innerFiles: opening.innerFiles, applier })
  const housekeeper = new Housekeeper({ ...context, compactor, index })
  housekeeper.start()
  const closeBoth = () => pool.closeAll().finally(() => inner.close())
  const close = async () => {
    await Promise.all([compactor.stop(), index.stop()])
    await readers.idle()
    await drain(log)
    await housekeeper.stop()
    await finish(runtime, checkpointer)
    await closeBoth()
  }
  const abandon = async () => {
    await Promise.all([compactor.stop(), index.stop()])
    await log.idle()
    await housekeeper.stop()
    await closeBoth()
  }
  return { log, overlay, reads, readers, segments, values, compactor, room, close, abandon }
}

/**
 * Throws if something was written to the log, by an index that is as it was made: then it is not the one of now. What stands
 * in the first place of a segment is a record, and never a part of a value.
 */
async function checkUnwritten({ crc32, pool, segments, label }: Reaching): Promise<void> {
  for (const segment of segments.all()) {
    const reader = new LogReader({ crc32, pool, origin: undefined }, segment)
    const first = await storing('reading the log', () => reader.record(FIRST_RECORD_OFFSET))
    if (first === undefined) continue
    throw unpaired('index-older', `the index of ${label} is an older copy: it is from before the first write`)
  }
}

/** Throws if a record stands in a file that was taken for unfinished: then its header is what was lost. */
async function checkUnfinished(
  { crc32, pool, origin, label }: Omit<Reaching, 'segments'> & { readonly origin: Origin },
  unfinished: readonly number[],
): Promise<void> {
  for (const slot of unfinished) {
    const reader = new LogReader({ crc32, pool, origin }, { slot, sizeBytes: Number.MAX_SAFE_INTEGER })
    const first = await storing('reading the log', () => reader.record(FIRST_RECORD_OFFSET))
    if (first === undefined) continue
    throw corrupt(`segment ${slot} of ${label} has lost its header, and records are in it`, { slot })
  }
}

/**
 * Throws unless the log goes as far as a checkpoint that it does not know: a crash may come between the two, but then the
 * records before are there.
 */
async function checkReach(
  { crc32, pool, segments, label }: Reaching,
  { position }: Checkpoint,
): Promise<void> {
  if (position === undefined || position.lastOffset === 0) return
  const segment = segments.get(position.slot)
  const reader = segment && new LogReader({ crc32, pool, origin: undefined }, segment)
  const last = await storing('reading the log', async () => reader?.record(position.lastOffset))
  if (last?.end === position.offset && last.header.sequence === position.sequence - 1) return
  throw unpaired('log-older', `${label} is an older copy: it lacks the last record that its index knows`)
}

type Reaching = Pick<RecoveryContext, 'crc32' | 'pool' | 'segments'> & { readonly label: string }

/** Whose records may stand behind a checkpoint: the opening that wrote it drew its salt, or knew only its number. */
function originOf({ salt, generation }: Checkpoint): Origin {
  return salt.length === 0 ? { epoch: generation } : { salt: saltOf(salt) }
}

/** The checkpoint by which an opening begins. */
function nextOpening(
  last: Checkpoint,
  { position, segments, salt }: { position: LogPosition; segments: Segments; salt: Uint8Array },
): Checkpoint {
  const { identity, number, generation, salt: previousSalt } = last
  const { rows } = segments.rows(position.slot)
  const pairing = { identity, salt, previousSalt, number: number + 1 }
  const { nextSlot } = segments
  return { ...pairing, generation: generation + 1, clean: false, position, nextSlot, segments: rows }
}

/** Without a last checkpoint nothing is lost: the log is read again at the next open. */
async function finish(runtime: ValueLogRuntime, checkpointer: Checkpointer): Promise<void> {
  try {
    await checkpointer.finish()
  } catch (error) {
    runtime.log.warn({ err: error }, 'closing without a checkpoint')
  }
}

/** What fails on its way has been told to whoever waits for it. */
async function drain(log: Log): Promise<void> {
  await log.barrier(() => {}).catch(() => {})
  await log.idle()
}

/** Where the log ends, and goes on. */
async function recover(
  context: ConstructorParameters<typeof Recovery>[0],
  checkpoint: Checkpoint,
  runtime: ValueLogRuntime,
): Promise<LogPosition> {
  const { position, clean } = checkpoint
  if (position === undefined) {
    const { slot } = await context.segments.allocate(0)
    return { slot, offset: FIRST_RECORD_OFFSET, sequence: 1, lastOffset: 0 }
  }
  const segment = context.segments.get(position.slot)
  if (segment === undefined) throw corrupt(`segment ${position.slot} of the log is missing`, { ...position })
  if (clean) return position
  const recovery = new Recovery(context, { position, segment })
  const end = await storing('reading the log', () => recovery.run())
  // What the inner database had of them already hides nothing any more.
  if (recovery.records > 0) context.segments.doubt()
  runtime.metrics.count('atoll_value_log_recovered_records_total', recovery.records)
  return end
}

interface Loaded {
  readonly segments: Segments
  /** Files that were begun, and in which nothing was written: they go when the log turns out to do without them. */
  readonly unfinished: readonly number[]
}

/** The segments of the checkpoint, with the files that came since. */
async function loadSegments(opening: Opening, pool: FilePool, checkpoint: Checkpoint): Promise<Loaded> {
  const { files, runtime, settings } = opening
  const present = new Set(await listSlots(files))
  const missing = checkpoint.segments.find(({ slot, free }) => !free && !present.has(slot))
  if (missing !== undefined) {
    const { slot } = missing
    throw corrupt(`segment ${slot} of ${files.label} is missing, and values are in it`, { slot })
  }
  const rows = checkpoint.segments.filter(({ slot }) => present.has(slot))
  const { identity } = checkpoint
  const nextSlot = Math.max(checkpoint.nextSlot, ...[...present].map((slot) => slot + 1))
  const segments = new Segments({ runtime, files, pool, settings, identity }, rows, nextSlot)
  const unfinished: number[] = []
  for (const slot of present) {
    if (segments.get(slot) !== undefined) continue
    const sizeBytes = await sizeOf(opening, { pool, identity }, slot)
    if (sizeBytes === undefined) unfinished.push(slot)
    else segments.adopt(slot, sizeBytes)
  }
  return { segments, unfinished }
}

/**
 * How large a segment is that the checkpoint does not know, as it was created after it; undefined if it was not
 * finished. The log may go on in it, so it counts also where its file was cut: who reads what is gone hears of it.
 */
async function sizeOf(
  { runtime }: Opening,
  { pool, identity }: { pool: FilePool; identity: Uint8Array },
  slot: number,
): Promise<number | undefined> {
  const header = await storing('reading a segment', () =>
    pool.use(slot, async (file) => {
      const page = Buffer.alloc(FIRST_RECORD_OFFSET)
      await file.read(page, 0)
      return decodeSegmentHeader(runtime.digest.crc32, page)
    }),
  )
  return header?.slot === slot && equalBytes(header.identity, identity) ? header.sizeBytes : undefined
}
