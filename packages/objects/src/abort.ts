import { AtollError, type Clock, ignoreAbort, isAtollError, listenToAbort, type Timer } from '@atoll/core'

/** How long a call that was aborted may take to delete what it has stored, and to hear what became of a write. */
const GRACE_MS = 1000

/** Throws `ATOLL_ABORTED` if the signal is aborted, or `ATOLL_CLOSED` if that is its reason. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal)
}

/** The promise, or a rejection as of `throwIfAborted` as soon as the signal is aborted, whatever the promise does then. */
export function abortable<T>(signal: AbortSignal | undefined, promise: Promise<T>): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(aborted(signal))
    if (signal.aborted) onAbort()
    else listenToAbort(signal, onAbort)
    promise.then(
      (value) => {
        ignoreAbort(signal, onAbort)
        resolve(value)
      },
      (error: unknown) => {
        ignoreAbort(signal, onAbort)
        reject(signal.aborted && !isAtollError(error) ? aborted(signal) : error)
      },
    )
  })
}

/**
 * What a call ends with that hears the signal itself; or a rejection as of `throwIfAborted`, if it has not ended a second
 * after the signal was aborted. Then it goes on, and whether it happens nobody knows.
 */
export function endingSoon<T>(
  clock: Pick<Clock, 'timer'>,
  signal: AbortSignal | undefined,
  call: Promise<T>,
): Promise<T> {
  if (signal === undefined) return call
  return new Promise<T>((resolve, reject) => {
    let timer: Timer | undefined
    const stopListening = onAbort(signal, (error) => {
      timer = clock.timer(GRACE_MS, () => reject(error))
    })
    const end = () => {
      stopListening()
      timer?.cancel()
    }
    call.then(
      (value) => {
        end()
        resolve(value)
      },
      (error: unknown) => {
        end()
        reject(error)
      },
    )
  })
}

/**
 * Calls back with what `throwIfAborted` throws when a signal is aborted that is not yet. Answers what ends the
 * listening.
 */
export function onAbort(signal: AbortSignal | undefined, callback: (error: AtollError) => void): () => void {
  if (signal === undefined) return () => {}
  const listener = () => callback(aborted(signal))
  listenToAbort(signal, listener)
  return () => ignoreAbort(signal, listener)
}

/** What was cut because the store closes says so. */
export function aborted(signal: AbortSignal): AtollError {
  if (isAtollError(signal.reason, 'ATOLL_CLOSED'))
    return new AtollError('ATOLL_CLOSED', signal.reason.message, { cause: signal.reason })
  return new AtollError('ATOLL_ABORTED', 'the call was aborted', { cause: signal.reason })
}
