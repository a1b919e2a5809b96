import { AtollError, equalBytes, toHex } from '@atoll/core'
import {
  type Checkpoint,
  decodeCheckpoint,
  decodeIdentity,
  encodeIdentity,
  IDENTITY_BYTES,
  IDENTITY_NAME,
} from './checkpoint.ts'
import { writeCheckpoint } from './checkpointer.ts'
import { CHECKPOINT_KEY } from './pointer.ts'
import { BYTES, type Files, type InnerLevel, type ValueLogRuntime } from './ports.ts'
import { slotOfName } from './segment-file.ts'
import { storageError, storing } from './storage-error.ts'

export interface OpenChoice {
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
}

/** Names that an interrupted creation may leave, beside the segments; and what a file system keeps at its top. */
const OUR_NAMES = /^(LOCK.*|VALUELOG(\.new)?|lost\+found)$/

/** Files by which programs before this one locked the directory. Those who wrote them held the lock of the inner database. */
const OLD_LOCKS = /^LOCK(\.[0-9a-f-]+)?$/

/** Refuses a directory that is not to be opened, before anything is touched. Resolves with the old locks in it. */
export async function inspectDirectory(files: Files, choice: OpenChoice): Promise<readonly string[]> {
  const names = await storing(`listing ${files.label}`, () => files.list())
  const exists = names?.includes(IDENTITY_NAME) === true
  if (exists && choice.errorIfExists) throw refused(`${files.label} holds a value log: it already exists`)
  if (!exists && !choice.createIfMissing)
    throw refused(`${files.label} does not exist (createIfMissing is false)`)
  const foreign = exists ? undefined : names?.find((name) => !OUR_NAMES.test(name))
  if (foreign === undefined) return names?.filter((name) => OLD_LOCKS.test(name)) ?? []
  const message = `${files.label} holds "${foreign}" and no value log: it belongs to another program`
  throw new AtollError('ATOLL_FORMAT', message)
}

export async function openInner(inner: InnerLevel): Promise<void> {
  try {
    await inner.open()
  } catch (error) {
    if (causeCode(error) !== 'LEVEL_LOCKED') throw storageError('opening the inner database', error)
    throw new AtollError('ATOLL_LOCKED', 'the inner database is in use by another process', { cause: error })
  }
}

/** The checkpoint to start from. Creates what is missing; throws `ATOLL_FORMAT` if the two halves do not belong together. */
export async function loadCheckpoint(
  runtime: ValueLogRuntime,
  { files, inner }: { files: Files; inner: InnerLevel },
): Promise<Checkpoint> {
  const identityFile = await storing(`reading ${files.label}`, () => files.readWhole(IDENTITY_NAME))
  const identity = identityFile && decodeIdentity(identityFile)
  const stored = await storing('reading the checkpoint', () => inner.get(CHECKPOINT_KEY, BYTES))
  const checkpoint = stored && decodeCheckpoint(stored)
  if (identity === undefined) return createLog(runtime, { files, inner, begun: checkpoint })
  if (checkpoint === undefined) {
    throw new AtollError(
      'ATOLL_FORMAT',
      `the inner database knows nothing of the value log at ${files.label}`,
    )
  }
  if (equalBytes(identity, checkpoint.identity)) return checkpoint
  const ids = `${toHex(identity)} and ${toHex(checkpoint.identity)}`
  throw new AtollError(
    'ATOLL_FORMAT',
    `${files.label} and the inner database belong to different logs: ${ids}`,
  )
}

interface Creation {
  readonly files: Files
  readonly inner: InnerLevel
  /** What an interrupted creation has left. */
  readonly begun: Checkpoint | undefined
}

/** First the inner database learns the identity, then the directory, and only then is the log used (generation 1). */
async function createLog(runtime: ValueLogRuntime, { files, inner, begun }: Creation): Promise<Checkpoint> {
  if (begun !== undefined && begun.generation > 0) {
    throw new AtollError(
      'ATOLL_FORMAT',
      `${files.label} is empty, but the inner database points to values in it`,
    )
  }
  if (begun === undefined && !(await isEmpty(inner))) {
    throw new AtollError('ATOLL_FORMAT', 'the inner database holds data of another program')
  }
  const identity = begun?.identity ?? runtime.random.bytes(IDENTITY_BYTES)
  const none = { position: undefined, nextSlot: 0, segments: [] }
  const checkpoint: Checkpoint = { identity, generation: 0, clean: true, ...none }
  if (begun === undefined) await writeCheckpoint(inner, checkpoint)
  await storing(`creating ${files.label}`, () => files.writeWhole(IDENTITY_NAME, encodeIdentity(identity)))
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

/** The code at the bottom: abstract-level wraps the error of a database that is locked. */
function causeCode(error: unknown): unknown {
  let deepest = error
  while (deepest instanceof Error && deepest.cause instanceof Error) deepest = deepest.cause
  return deepest instanceof Error && 'code' in deepest ? deepest.code : undefined
}
