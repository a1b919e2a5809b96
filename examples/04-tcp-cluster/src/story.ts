import { createHash } from 'node:crypto'
import type { Status } from './commands.ts'

const LOOK_MS = 50
const PATIENCE_MS = 120_000

export function chapter(text: string): void {
  process.stdout.write(`\n» ${text}\n\n`)
}

export function say(text: string): void {
  process.stdout.write(`  ${text}\n`)
}

export function showMembers({ epoch, members }: Status): void {
  say(`epoch ${epoch}`)
  for (const { node, state, up, replicas } of members)
    say(
      `${node}  ${state.padEnd(8)}  ${up ? 'up  ' : 'down'}  ${String(replicas).padStart(3)} replicas of partitions`,
    )
}

/** Waits until `look` says true and not what is so instead. Throws after two minutes. */
export async function until(what: string, look: () => Promise<true | string>): Promise<void> {
  const lastMs = performance.now() + PATIENCE_MS
  for (let seen = await look(); seen !== true; seen = await look()) {
    if (performance.now() > lastMs) throw new Error(`waited in vain until ${what}: ${seen}`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

/** Throws unless the same bytes came out that went in. */
export function expectSame(read: Uint8Array, written: Uint8Array): void {
  const [got, expected] = [sha256(read), sha256(written)]
  if (got !== expected) throw new Error(`other bytes came back: SHA-256 ${got} instead of ${expected}`)
  if (written.length > 1000)
    say(`${read.length} bytes with the same SHA-256 that went in: ${got.slice(0, 16)}…`)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
