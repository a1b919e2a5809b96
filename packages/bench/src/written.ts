import { readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** What was written so far, in bytes; undefined where this system does not tell. */
export interface Written {
  /** Handed to the system by all threads of this process, whatever became of it: `wchar` of /proc/self/io. */
  readonly byProcess: number | undefined
  /** Taken by the disk under the directory for temporary files, from anyone: /proc/diskstats. */
  readonly toDisk: number | undefined
}

const SECTOR_BYTES = 512

/**
 * Not `ru_oublock`, nor `write_bytes`, which is the same figure: these count a page of the cache each time that it
 * becomes dirty, and a large folio as a whole, so an append that begins in the middle of one counts that twice.
 */
export function writtenSoFar(): Written {
  return { byProcess: writtenByProcess(), toDisk: writtenToDisk() }
}

export function writtenSince(before: Written): Written {
  const now = writtenSoFar()
  return {
    byProcess: difference(now.byProcess, before.byProcess),
    toDisk: difference(now.toDisk, before.toDisk),
  }
}

function writtenByProcess(): number | undefined {
  const text = readIfThere('/proc/self/io')
  const digits = /^wchar: (\d+)$/m.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Fields of a line: major, minor, name, then the counters; the seventh of these is sectors written. */
function writtenToDisk(): number | undefined {
  const { major, minor } = deviceOf(tmpdir())
  for (const line of readIfThere('/proc/diskstats').split('\n')) {
    const fields = line.trim().split(/\s+/)
    if (fields[0] === `${major}` && fields[1] === `${minor}`) return Number(fields[9]) * SECTOR_BYTES
  }
  return undefined
}

/** As Linux packs the two numbers. */
function deviceOf(path: string): { major: bigint; minor: bigint } {
  const { dev } = statSync(path, { bigint: true })
  return {
    major: ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn),
    minor: (dev & 0xffn) | ((dev >> 12n) & ~0xffn),
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function difference(now: number | undefined, before: number | undefined): number | undefined {
  return now === undefined || before === undefined ? undefined : now - before
}
