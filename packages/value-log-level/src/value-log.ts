import { Applier } from './applier.ts'
import type { Checkpoint, LogPosition } from './checkpoint.ts'
import { Checkpointer, settleInner, writeCheckpoint } from './checkpointer.ts'
import { corrupt } from './checksum.ts'
import { Compactor } from './compactor.ts'
import { FilePool } from './file-pool.ts'
import { InnerReads } from './inner-reads.ts'
import { Log } from './log.ts'
import { inspectDirectory, listSlots, loadCheckpoint, type OpenChoice, openInner } from './open-directory.ts'
import type { ValueLogSettings } from './options.ts'
import { Overlay } from './overlay.ts'
import type { Files, InnerLevel, ValueLogRuntime } from './ports.ts'
import { Readers } from './readers.ts'
import { Recovery } from './recovery.ts'
import { decodeSegmentHeader, FIRST_RECORD_OFFSET } from './segment-file.ts'
import { Segments } from './segments.ts'
import { storing } from './storage-error.ts'
import { ValueReader } from './value-reader.ts'

/** What a value log is made of. */
export interface ValueLogParts {
  /** The database for keys, pointers and small values. It is opened and closed with the value log. */
  readonly inner: InnerLevel
  /** The directory for the segments: `nodeFiles(path)`, or a simulated one. */
  readonly files: Files
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
  readonly close: () => Promise<void>
}

/**
 * Opens the inner database and the directory, and brings them in step. On failure everything is closed again.
 *
 * The inner database comes first: the operating system holds its lock for this process, and gives it up when the process
 * ends, however that comes about. Only the one inner database that has the identity of the directory is let near it, so that
 * this lock guards both.
 */
export async function openValueLog(opening: Opening, choice: OpenChoice): Promise<ValueLog> {
  const { files, inner } = opening
  const oldLocks = await inspectDirectory(files, choice)
  const pool = new FilePool(files, opening.settings.maxOpenFiles)
  await openInner(inner)
  try {
    await storing(`creating ${files.label}`, () => files.prepare())
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
  const checkpoint = await loadCheckpoint(runtime, { files, inner })
  const { identity } = checkpoint
  const segments = await loadSegments(opening, pool, checkpoint)
  const values = new ValueReader(runtime, pool)
  const reads = new InnerReads(inner, runtime.clock)
  const applier = new Applier(inner, reads, segments)
  const position = await recover({ crc32, pool, segments, applier, values }, checkpoint, runtime)
  const generation = checkpoint.generation + 1
  await storing('preallocating segments', () => segments.preallocate(settings.preallocateBytes))
  if (position.sequence !== checkpoint.position?.sequence) await settleInner(inner)
  const { rows } = segments.rows(position.slot)
  const { nextSlot } = segments
  await writeCheckpoint(inner, { identity, generation, clean: false, position, nextSlot, segments: rows })

  const overlay = new Overlay()
  const readers = new Readers()
  const log = new Log(
    { runtime, settings, pool, segments, overlay, applier },
    { position, epoch: generation },
  )
  const checkpointer = new Checkpointer({ runtime, inner, segments, readers, log, identity, generation })
  const context = { runtime, settings, crc32, inner, pool, segments, readers, values, log, checkpointer }
  const compactor = new Compactor(context)
  const background = connect({ segments, readers, log, checkpointer, compactor }, opening)
  const close = async () => {
    await compactor.stop()
    await readers.idle()
    await drain(log)
    await background()
    await finish(runtime, checkpointer)
    await pool.closeAll()
    await inner.close()
  }
  return { log, overlay, reads, readers, segments, values, compactor, close }
}

/** Without a last checkpoint nothing is lost: the log is read again at the next open. */
async function finish(runtime: ValueLogRuntime, checkpointer: Checkpointer): Promise<void> {
  try {
    await checkpointer.finish()
  } catch (error) {
    runtime.log.warn({ error }, 'closing without a checkpoint')
  }
}

/** What fails on its way has been told to whoever waits for it. */
async function drain(log: Log): Promise<void> {
  await log.barrier(() => {}).catch(() => {})
  await log.idle()
}

interface Background {
  readonly segments: Segments
  readonly readers: Readers
  readonly log: Log
  readonly checkpointer: Checkpointer
  readonly compactor: Compactor
}

/** Lets the parts set each other going; returns what ends and awaits it. */
function connect(parts: Background, { runtime, settings }: Opening): () => Promise<void> {
  const { segments, readers, log, checkpointer, compactor } = parts
  let grownBytes = 0
  let closing = false
  let housekeeping = Promise.resolve()
  const keep = (work: () => Promise<void>) => {
    if (closing) return
    housekeeping = housekeeping.then(work).catch((error: unknown) => {
      if (!closing) runtime.log.warn({ error }, 'the value log could not tidy up; it tries again later')
    })
  }
  log.onApplied = (bytes) => {
    grownBytes += bytes
    if (grownBytes < settings.checkpointBytes) return
    grownBytes = 0
    keep(async () => {
      await checkpointer.run()
      await compactor.recountNext()
    })
  }
  readers.onLeave = () => {
    if (segments.waitsForReaders(readers.oldest)) keep(() => segments.release(readers.oldest))
  }
  segments.onRipe = () => compactor.kick()
  compactor.kick()
  return async () => {
    closing = true
    await housekeeping
  }
}

/** Where the log ends, and goes on. */
async function recover(
  context: ConstructorParameters<typeof Recovery>[0],
  checkpoint: Checkpoint,
  runtime: ValueLogRuntime,
): Promise<LogPosition> {
  const { position, clean, generation } = checkpoint
  if (position === undefined) {
    const { slot } = await context.segments.allocate(0)
    return { slot, offset: FIRST_RECORD_OFFSET, sequence: 1 }
  }
  const segment = context.segments.get(position.slot)
  if (segment === undefined) throw corrupt(`segment ${position.slot} of the log is missing`, { ...position })
  if (clean) return position
  const recovery = new Recovery(context, { position, epoch: generation, segment })
  const end = await storing('reading the log', () => recovery.run())
  runtime.metrics.count('value_log_recovered_records', recovery.records)
  return end
}

/** The segments of the checkpoint, with the files that came since. */
async function loadSegments(opening: Opening, pool: FilePool, checkpoint: Checkpoint): Promise<Segments> {
  const { files, runtime, settings } = opening
  const present = new Set(await listSlots(files))
  const missing = checkpoint.segments.find(({ slot, free }) => !free && !present.has(slot))
  if (missing !== undefined) {
    const { slot } = missing
    throw corrupt(`segment ${slot} of ${files.label} is missing, and values are in it`, { slot })
  }
  const rows = checkpoint.segments.filter(({ slot }) => present.has(slot))
  const { identity } = checkpoint
  const segments = new Segments({ runtime, files, pool, settings, identity }, rows, checkpoint.nextSlot)
  for (const slot of present) {
    if (segments.get(slot) === undefined) await adopt(opening, { pool, segments, identity }, slot)
  }
  return segments
}

/** A segment that the checkpoint does not know was created after it; or it was not finished, and goes. */
async function adopt(
  { files, runtime }: Opening,
  { pool, segments, identity }: { pool: FilePool; segments: Segments; identity: Uint8Array },
  slot: number,
): Promise<void> {
  const header = await storing('reading a segment', () =>
    pool.use(slot, async (file) => {
      const page = Buffer.alloc(FIRST_RECORD_OFFSET)
      await file.read(page, 0)
      const decoded = decodeSegmentHeader(runtime.digest.crc32, page)
      const whole = decoded?.slot === slot && (await file.sizeBytes()) === decoded.sizeBytes
      return whole && Buffer.compare(decoded.identity, identity) === 0 ? decoded : undefined
    }),
  )
  segments.adopt(slot, header?.sizeBytes ?? 0)
  const segment = segments.get(slot)
  if (header === undefined && segment !== undefined)
    await storing(`removing a segment of ${files.label}`, () => segments.remove(segment))
}
