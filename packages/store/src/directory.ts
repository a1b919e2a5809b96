import { mkdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { AtollError, describe, messageOf, type Runtime, storageFailure, wrongRange } from '@atoll/core'
import { levelExists, nodeFiles, ValueLogLevel } from '@atoll/value-log-level'
import { ClassicLevel } from 'classic-level'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

type Values = ValueLogLevel<Uint8Array, Uint8Array>

/**
 * What this process has open, by the canonical name of the index. LevelDB would refuse to open it a second time as well,
 * but drops the lock that other processes see while it does so.
 */
const OPEN = new Map<string, Values>()

/**
 * The database on a directory, made if missing: values of 4 KiB and more, the blocks, are written once into segments;
 * classic-level holds all else, and pointers. Throws `ATOLL_LOCKED` if this process has it open, `RangeError` for what is
 * no directory, `ATOLL_DISK_FULL` or `ATOLL_STORAGE` if none can be made.
 */
export function valueLog(directory: string, runtime: Runtime): Values {
  const path = makeDirectory(directory)
  const index = canonical(join(path, 'index'))
  if ((OPEN.get(index)?.status ?? 'closed') !== 'closed')
    throw new AtollError('ATOLL_LOCKED', `${describe(directory)} is open already, in this process`)
  const inner = new ClassicLevel<Uint8Array, Uint8Array>(index, VIEW)
  const parts = {
    inner,
    innerExists: () => levelExists(index),
    innerFiles: nodeFiles(index),
    files: nodeFiles(join(path, 'log')),
  }
  const values: Values = new ValueLogLevel(runtime, parts, VIEW)
  OPEN.set(index, values)
  values.once('closed', () => {
    if (OPEN.get(index) === values) OPEN.delete(index)
  })
  return values
}

/** Answers its canonical name. */
function makeDirectory(path: string): string {
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    const isFile = /EEXIST|ENOTDIR/.test(messageOf(error))
    if (isFile) throw wrongRange('path', `must be a directory, and a file is there: ${describe(path)}`)
    const message = `the directory ${describe(path)} cannot be made: ${messageOf(error)}`
    throw storageFailure(message, error, { definite: true })
  }
  return canonical(path)
}

/** One name for a directory, whatever links lead to it: the lock of LevelDB goes by names within a process. */
function canonical(path: string): string {
  try {
    return realpathSync.native(path)
  } catch (error) {
    if (!/\bENOENT\b/.test(messageOf(error)))
      throw storageFailure(`${path} cannot be followed: ${messageOf(error)}`, error, { definite: true })
    return join(canonical(dirname(path)), basename(path))
  }
}
