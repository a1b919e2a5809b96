import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Compared } from './report.ts'

/** What a part is told by the command line. */
export interface PartOptions {
  /** The checkout of which it measures the packages, if it loads them. */
  readonly packages: string
  /** Objects of the largest directory that the suite `listing` fills. */
  readonly objects: number
}

interface Told {
  readonly row: Compared
  readonly line: string
}

const PROGRAM = fileURLToPath(new URL('./main.js', import.meta.url))

/**
 * Runs the bench, of this build or of another, with these arguments in a process of its own, which prints nothing.
 * Throws if that fails.
 */
export async function runPart(
  args: readonly string[],
  onRow: (row: Compared, line: string) => void,
  program = PROGRAM,
): Promise<void> {
  const child = fork(program, args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
  })
  child.on('message', ({ row, line }: Told) => onRow(row, line))
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${signal ?? `code ${code}`}`)
}

/** Tells a row to the process that has started this one, if there is such. */
export function tellRow(row: Compared, line: string): void {
  process.send?.({ row, line } satisfies Told)
}
