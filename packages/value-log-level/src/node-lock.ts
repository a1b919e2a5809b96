import { randomUUID } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AtollError } from '@atoll/core'

const LOCK_NAME = 'LOCK'
const ATTEMPTS = 3

/** Locks that this process holds, by their token: a lock of our own process id that is not among them is stale. */
const held = new Set<string>()

/**
 * Locks by a file that names its owner. Node offers no advisory locks, so a file left by a process that died is told
 * by its process id and, where the system shows it, by the time the process was started: ids are used again.
 */
export async function lockDirectory(path: string): Promise<() => Promise<void>> {
  const file = join(path, LOCK_NAME)
  const token = randomUUID()
  const own = join(path, `${LOCK_NAME}.${token}`)
  await writeFile(own, JSON.stringify({ pid: process.pid, started: await startOf(process.pid), token }))
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (await linked(own, file)) return heldLock(file, token)
      const owner = await readOwner(file)
      if (owner !== undefined && (await isAlive(owner))) throw locked(path, owner.pid)
      await rm(file, { force: true })
    }
    throw locked(path, undefined)
  } finally {
    await rm(own, { force: true })
  }
}

function heldLock(file: string, token: string): () => Promise<void> {
  held.add(token)
  return async () => {
    held.delete(token)
    await rm(file, { force: true })
  }
}

/** A hard link is made as a whole or not at all, and fails if the name is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

interface Owner {
  readonly pid: number
  readonly started: string
  readonly token: string
}

async function readOwner(file: string): Promise<Owner | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'))
    return isOwner(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isOwner(value: unknown): value is Owner {
  if (typeof value !== 'object' || value === null) return false
  return 'pid' in value && typeof value.pid === 'number' && 'started' in value && 'token' in value
}

async function isAlive(owner: Owner): Promise<boolean> {
  if (owner.pid === process.pid) return held.has(owner.token)
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    // EPERM: it lives, and belongs to someone else.
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
  }
  const started = await startOf(owner.pid)
  return started === '' || owner.started === '' || started === owner.started
}

/** When a process was started, in ticks since the system was; '' where the system does not show it. */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

function locked(path: string, pid: number | undefined): AtollError {
  const by = pid === undefined ? 'another process' : `process ${pid}`
  return new AtollError('ATOLL_LOCKED', `the value log at ${path} is in use by ${by}`, { details: { pid } })
}
