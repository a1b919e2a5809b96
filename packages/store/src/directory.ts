import { realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, messageOf, type Runtime, storageFailure, wrongRange } from '@atoll/core'
import { levelExists, makeDirectories, nodeFiles, ValueLogLevel } from '@atoll/value-log-level'
import { ClassicLevel, type OpenOptions } from 'classic-level'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

/**
 * What this process has open, by the canonical name of its directory. LevelDB would refuse to open it a second time as well,
 * but drops the lock that other processes see while it does so.
 */
const OPEN = new Map<string, OwnLevel>()

/** A LevelDB that this process opens once at a time: by itself, or again after it has failed. */
class OwnLevel extends ClassicLevel<Uint8Array, Uint8Array> {
  override async open(options: OpenOptions = {}): Promise<void> {
    const holder = OPEN.get(this.location) ?? this
    if (holder !== this && holder.status !== 'closed') throw locked(this.location)
    OPEN.set(this.location, this)
    await super.open(options)
  }

  override async close(): Promise<void> {
    await super.close()
    if (OPEN.get(this.location) === this) OPEN.delete(this.location)
  }
}

/** As LevelDB says it. */
function locked(location: string): Error {
  return Object.assign(new Error(`${location} is open already in this process`), { code: 'LEVEL_LOCKED' })
}

/**
 * The database on a directory, made if missing: values of 4 KiB and more, the blocks, are written once into segments;
 * classic-level holds all else, and pointers. Throws `RangeError` for what is no directory, `ATOLL_DISK_FULL` or
 * `ATOLL_STORAGE` if none can be made.
 */
export function valueLog(directory: string, runtime: Runtime): ValueLogLevel<Uint8Array, Uint8Array> {
  const path = makeDirectory(directory)
  const index = canonical(join(path, 'index'))
  const parts = {
    inner: new OwnLevel(index, VIEW),
    innerExists: () => levelExists(index),
    innerFiles: nodeFiles(index),
    files: nodeFiles(join(path, 'log')),
  }
  return new ValueLogLevel(runtime, parts, VIEW)
}

/** Answers its canonical name. */
function makeDirectory(path: string): string {
  try {
    makeDirectories(path)
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
