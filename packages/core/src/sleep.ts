import { ignoreAbort, listenToAbort } from './abort-listeners.ts'
import type { Clock } from './runtime.ts'

/** `Clock.sleep` made from `Clock.timer`, so that every clock sleeps the same way. */
export function sleepOn(
  clock: Pick<Clock, 'timer'>,
  delayMs: number,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const { signal } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.timer(delayMs, () => {
      ignoreAbort(signal, onAbort)
      resolve()
    })
    listenToAbort(signal, onAbort)
  })
}
