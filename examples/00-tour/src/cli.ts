import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { access, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { messageOf } from '@atoll/core'
import colors from 'picocolors'
import { runTour } from './tour.ts'

/** Exit codes. */
const EXIT_FAILED = 1
const EXIT_BAD_FILE = 2

/** The command: takes the file to tour with, answers the exit code. Whatever fails is said in one line. */
export async function cli(file: string): Promise<number> {
  const problem = await whyUnreadable(file)
  if (problem !== undefined) {
    process.stderr.write(`cannot read ${file}: ${problem}\n`)
    return EXIT_BAD_FILE
  }
  const directory = await mkdtemp(join(tmpdir(), 'atoll-tour-'))
  try {
    const { size: sizeBytes } = await stat(file)
    await runTour({ file, key: basename(file), sizeBytes, sha256: await sha256Of(file), directory })
    return 0
  } catch (error) {
    process.stderr.write(`\n${colors.red('failed:')} ${messageOf(error)}\n`)
    return EXIT_FAILED
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function whyUnreadable(file: string): Promise<string | undefined> {
  try {
    await access(file, constants.R_OK)
    return (await stat(file)).isFile() ? undefined : 'it is not a file'
  } catch (error) {
    return messageOf(error)
  }
}

async function sha256Of(file: string): Promise<string> {
  const digest = createHash('sha256')
  for await (const chunk of createReadStream(file)) digest.update(chunk)
  return digest.digest('hex')
}
