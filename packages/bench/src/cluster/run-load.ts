import type { LoadDone, LoadOrder } from './commands.ts'

/** Runs operations, so many at a time, and tells how long each took. */
export async function runLoad(
  { operations, concurrency, from }: Pick<LoadOrder, 'operations' | 'concurrency' | 'from'>,
  operation: (n: number, worker: number) => Promise<number>,
): Promise<LoadDone> {
  const latenciesUs: number[] = []
  let [next, bytes] = [from, 0]
  const work = async (_: unknown, worker: number) => {
    while (next < from + operations) {
      const begunMs = performance.now()
      const moved = await operation(next++, worker)
      bytes += moved
      latenciesUs.push(1000 * (performance.now() - begunMs))
    }
  }
  const startedMs = performance.now()
  await Promise.all(Array.from({ length: concurrency }, work))
  return { seconds: (performance.now() - startedMs) / 1000, bytes, latenciesUs }
}
