import { closeSync, constants, fsyncSync, mkdirSync, openSync, readSync, statSync, writev } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf } from '@atoll/core'
import { IDENTITY_NAME } from './checkpoint.ts'
import type { DataFile, Files } from './ports.ts'

/**
 * How a file is opened of which each write is durable. On Linux such a write does what one with fdatasync behind it does. On
 * macOS only F_FULLFSYNC, which Node.js calls for a sync, empties the cache of the disk.
 */
const DURABLY = process.platform === 'linux' ? constants.O_RDWR | constants.O_DSYNC : undefined

/** A directory on a disk. */
export function nodeFiles(path: string): Files {
  return {
    label: path,
    list: () => readdir(path).catch(undefinedIfMissing),
    prepare: async () => {
      makeDirectories(path)
      syncName(path)
    },
    readWhole: (name) => readFile(join(path, name)).catch(undefinedIfMissing),
    writeWhole: (name, bytes) => writeWhole(path, name, bytes),
    open: async (name) => new NodeFile(await openOrCreate(join(path, name))),
    ...(DURABLY === undefined
      ? {}
      : { openDurable: async (name: string) => new NodeFile(await open(join(path, name), DURABLY)) }),
    remove: (name) => rm(join(path, name), { force: true }),
    syncDirectory: () => syncDirectory(path),
    freeBytes: async () => {
      const { bavail, bsize } = await statfs(path)
      return bavail * bsize
    },
    usedBytes: () => usedBytesOf(path),
  }
}

/**
 * Makes a directory, and those above it that are missing, so that a power cut leaves them. Node.js's own `recursive`
 * tries for ever where a file system says ENOENT of what it does not make, as /proc does.
 */
export function makeDirectories(path: string): void {
  const missing = made(path)
  if (missing === undefined) return
  const above = dirname(path)
  if (isDirectory(above)) throw missing
  makeDirectories(above)
  const stillMissing = made(path)
  if (stillMissing !== undefined) throw stillMissing
}

/** Makes a directory, whoever else does so at the same time; the error if the one above it is missing. */
function made(path: string): unknown {
  try {
    mkdirSync(path)
  } catch (error) {
    if (isMissing(error)) return error
    if (isDirectory(path)) return undefined
    throw error
  }
  syncName(path)
  return undefined
}

/** What a file system says that syncs no directory, or not for this user: whoever is above it answers for its names. */
const NOT_SYNCED = ['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP']

/** Makes the name of a directory durable: that is for the one above it to keep. */
function syncName(path: string): void {
  // Windows opens no directories, and makes names durable by itself.
  if (process.platform === 'win32') return
  let above: number | undefined
  try {
    above = openSync(dirname(path), 'r')
    fsyncSync(above)
  } catch (error) {
    if (!NOT_SYNCED.some((code) => hasCode(error, code))) throw error
  } finally {
    if (above !== undefined) closeSync(above)
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/**
 * Tells whether a directory holds a LevelDB database, and changes nothing by it: LevelDB itself renames its own log, and
 * may delete the tables of one whose `CURRENT` is lost. True if `CURRENT` is there with the manifest that it names.
 */
export async function levelExists(path: string): Promise<boolean> {
  for (let manifest = await manifestOf(path); manifest !== undefined; ) {
    if (await isThere(join(path, manifest))) return true
    // Another process that opens the database right now begins a new manifest, and removes the old one.
    const next = await manifestOf(path)
    if (next === manifest) return false
    manifest = next
  }
  return false
}

/** Tells whether a directory holds a value log, whole or not, and changes nothing by it. */
export function logExists(path: string): Promise<boolean> {
  return isThere(join(path, IDENTITY_NAME))
}

async function isThere(file: string): Promise<boolean> {
  return (await stat(file).catch(undefinedIfNowhere)) !== undefined
}

async function manifestOf(path: string): Promise<string | undefined> {
  const current = await readFile(join(path, 'CURRENT'), 'utf8').catch(undefinedIfNowhere)
  const manifest = current?.trimEnd()
  return manifest !== undefined && /^MANIFEST-[0-9]+$/.test(manifest) ? manifest : undefined
}

class NodeFile implements DataFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < target.length) {
      const { bytesRead } = await this.#handle.read(target, done, target.length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }

  readSync(target: Uint8Array, position: number): number {
    let done = 0
    while (done < target.length) {
      const length = readSync(this.#handle.fd, target, done, target.length - done, position + done)
      if (length === 0) break
      done += length
    }
    return done
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
    const bytesWritten = await written(this.#handle.fd, buffers, position)
    if (bytesWritten < total) await this.#writeRest(buffers, bytesWritten, position)
  }

  /** A gathering write may stop short; what is left goes buffer by buffer. */
  async #writeRest(buffers: readonly Uint8Array[], written: number, position: number): Promise<void> {
    let at = 0
    for (const buffer of buffers) {
      let from = Math.min(buffer.length, Math.max(0, written - at))
      while (from < buffer.length) {
        const length = buffer.length - from
        const { bytesWritten } = await this.#handle.write(buffer, from, length, position + at + from)
        from += bytesWritten
      }
      at += buffer.length
    }
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#handle.truncate(sizeBytes)
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** The call with a callback takes a fifth less of this thread than that of a `FileHandle`. */
function written(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, [...buffers], position, (error, bytesWritten) => {
      if (error === null) resolve(bytesWritten)
      else reject(error)
    })
  })
}

/** `blocks` counts in units of 512 bytes, whatever the file system; Windows, which does not count them, says 0. */
async function usedBytesOf(path: string): Promise<number> {
  const names = (await readdir(path).catch(undefinedIfMissing)) ?? []
  let used = 0
  for (const name of names) {
    const found = await stat(join(path, name)).catch(undefinedIfMissing)
    if (found?.isFile()) used += found.blocks > 0 ? 512 * found.blocks : found.size
  }
  return used
}

function openOrCreate(path: string): Promise<FileHandle> {
  return open(path, 'r+').catch((error: unknown) => {
    if (isMissing(error)) return open(path, 'w+')
    throw error
  })
}

async function writeWhole(path: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(path, `${name}.new`)
  const handle = await open(temporary, 'w')
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, join(path, name))
  await syncDirectory(path)
}

async function syncDirectory(path: string): Promise<void> {
  // Windows opens no directories, and makes names durable by itself.
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function undefinedIfMissing(error: unknown): undefined {
  if (isMissing(error)) return undefined
  throw error
}

/** Below a file there is nothing either. */
function undefinedIfNowhere(error: unknown): undefined {
  if (hasCode(error, 'ENOTDIR')) return undefined
  return undefinedIfMissing(error)
}

export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT')
}

export function hasCode(error: unknown, code: string): boolean {
  return codeOf(error) === code
}
