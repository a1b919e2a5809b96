import { AtollError, codeOf, isError, messageOf } from '@atoll/core'
import {
  type Checkpoint,
  decodeCheckpoint,
  decodeNote,
  encodeNote,
  IDENTITY_BYTES,
  IDENTITY_NAME,
  type Pairing,
  UNSALTED,
} from './checkpoint.ts'
import { writeCheckpoint } from './checkpointer.ts'
import { checkPaired, unpaired } from './pairing.ts'
import { CHECKPOINT_KEY } from './pointer.ts'
import { BYTES, type Files, type InnerLevel, type ValueLogRuntime } from './ports.ts'
import { slotOfName } from './segment-file.ts'
import { storageError, storing } from './storage-error.ts'

export interface OpenChoice {
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
}

/** What is met in an empty file system, or left by an interrupted creation: no reason not to begin a log there. */
const HARMLESS_NAMES = /^(LOCK.*|VALUELOG\.new|lost\+found)$/

/**
 * Files by which programs before this one locked the directory. Those who wrote them held the lock of the inner
 * database.
 */
const OLD_LOCKS = /^LOCK(\.[0-9a-f-]+)?$/

interface Inspected {
  /** Whether the directory holds a log. */
  readonly exists: boolean
  readonly oldLocks: readonly string[]
}

/** Refuses a directory that is not to be opened, before anything is touched. */
export async function inspectDirectory(files: Files, choice: OpenChoice): Promise<Inspected> {
  const names = (await storing(`listing ${files.label}`, () => files.list())) ?? []
  const exists = names.includes(IDENTITY_NAME)
  if (exists && choice.errorIfExists) throw refused(`${files.label} holds a value log: it already exists`)
  if (!exists && !choice.createIfMissing)
    throw refused(`${files.label} does not exist (createIfMissing is false)`)
  const foreign = exists ? undefined : names.find((name) => !HARMLESS_NAMES.test(name))
  // Of a newer program, or damaged: before the inner database, which tidies up when it is opened, is touched.
  if (exists) await readNote(files)
  if (foreign === undefined) return { exists, oldLocks: names.filter((name) => OLD_LOCKS.test(name)) }
  if (slotOfName(foreign) !== undefined)
    throw unpaired('log-missing', `${files.label} has segments, and lacks its file ${IDENTITY_NAME}`)
  const message = `${files.label} holds "${foreign}" and no value log: it belongs to another program`
  throw new AtollError('ATOLL_FORMAT', message)
}

/**
 * Opens the inner database. Where there is a log, it must be there: a new one would be empty, and the program that makes
 * it may delete what is left of the old one.
 */
export async function openInner(
  { files, inner }: Halves,
  { mustExist }: { mustExist: boolean },
): Promise<void> {
  const mayRefuse = mustExist && inner.supports.createIfMissing === true
  try {
    await (mayRefuse ? inner.open({ createIfMissing: false }) : inner.open())
  } catch (error) {
    const cause = deepest(error)
    if (codeOf(cause) === 'LEVEL_LOCKED')
      throw new AtollError(
        'ATOLL_LOCKED',
        `${files.label} and the index beside it are open already, in another process or in this one`,
        {
          cause: error,
        },
      )
    // What LevelDB says when it must not create.
    if (mayRefuse && /does not exist/.test(messageOf(cause))) throw indexMissing(files)
    throw storageError('opening the inner database', error)
  }
}

/**
 * The checkpoint to start from. Creates what is missing; throws `ATOLL_FORMAT` if the two halves do not belong together,
 * or are not of the same time.
 */
export async function loadCheckpoint(runtime: ValueLogRuntime, halves: Halves): Promise<Loaded> {
  const { files, inner } = halves
  const note = await readNote(files)
  if (note === undefined) return { checkpoint: await createLog(runtime, halves), isNoted: true }
  const checkpoint = await readCheckpoint(inner)
  if (checkpoint === undefined) throw indexMissing(files)
  checkPaired(files.label, note, checkpoint)
  return { checkpoint, isNoted: checkpoint.number === note.number }
}

/** Throws `ATOLL_FORMAT` for a newer version, and `ATOLL_CORRUPT` for what is none. */
async function readNote(files: Files): Promise<Pairing | undefined> {
  const stored = await storing(`reading ${files.label}`, () => files.readWhole(IDENTITY_NAME))
  return stored && decodeNote(stored)
}

/** Notes durably in the log which checkpoint the inner database has. */
export function writeNote(files: Files, checkpoint: Checkpoint): Promise<void> {
  return storing(`writing ${IDENTITY_NAME} of ${files.label}`, () =>
    files.writeWhole(IDENTITY_NAME, encodeNote(checkpoint)),
  )
}

export function indexMissing(files: Files): AtollError {
  return unpaired('index-missing', `the index of ${files.label} is missing, or is not what it was`)
}

interface Loaded {
  readonly checkpoint: Checkpoint
  /** False if the log does not know of it yet: it knows of the one before. */
  readonly isNoted: boolean
}

interface Halves {
  readonly files: Files
  readonly inner: InnerLevel
  /** Where the inner database is, if that is known. */
  readonly innerFiles?: Pick<Files, 'label'> & Partial<Pick<Files, 'prepare'>>
}

async function readCheckpoint(inner: InnerLevel): Promise<Checkpoint | undefined> {
  const stored = await storing('reading the checkpoint', () => inner.get(CHECKPOINT_KEY, BYTES))
  return stored && decodeCheckpoint(stored)
}

/** First the inner database learns the identity, then the directory, and only then is the log used (generation 1). */
async function createLog(
  runtime: ValueLogRuntime,
  { files, inner, innerFiles }: Halves,
): Promise<Checkpoint> {
  // What an interrupted creation has left.
  const begun = await readCheckpoint(inner)
  if (begun !== undefined && begun.generation > 0)
    throw unpaired('log-missing', `${files.label} is empty, but its index points to values in it`)
  if (begun === undefined && !(await isEmpty(inner)))
    throw new AtollError('ATOLL_FORMAT', `the index of ${files.label} holds data of another program`)
  await storing(`creating ${files.label}`, () => files.prepare())
  if (innerFiles?.prepare !== undefined)
    await storing(`creating ${innerFiles.label}`, async () => innerFiles.prepare?.())
  const identity = begun?.identity ?? runtime.random.bytes(IDENTITY_BYTES)
  const none = { position: undefined, nextSlot: 0, segments: [] }
  const checkpoint: Checkpoint = { identity, ...UNSALTED, generation: 0, clean: true, ...none }
  if (begun === undefined) await writeCheckpoint(inner, checkpoint)
  await writeNote(files, checkpoint)
  return checkpoint
}

async function isEmpty(inner: InnerLevel): Promise<boolean> {
  const iterator = inner.iterator({ ...BYTES, limit: 1, values: false })
  try {
    return (await iterator.nextv(1)).length === 0
  } finally {
    await iterator.close()
  }
}

/** The numbers of the segment files that are there, in order. */
export async function listSlots(files: Files): Promise<number[]> {
  const names = (await storing(`listing ${files.label}`, () => files.list())) ?? []
  const slots = names.map(slotOfName).filter((slot) => slot !== undefined)
  return slots.sort((a, b) => a - b)
}

function refused(message: string): AtollError {
  return new AtollError('ATOLL_STORAGE', message, { definite: true })
}

/** What is at the bottom: abstract-level wraps the errors of a database. */
function deepest(error: unknown): unknown {
  return isError(error) && isError(error.cause) ? deepest(error.cause) : error
}
