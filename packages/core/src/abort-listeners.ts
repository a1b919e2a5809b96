interface Listening {
  readonly callbacks: Set<() => void>
  readonly onAbort: () => void
}

/** By signal, as long as there is somebody to call. */
const listening = new WeakMap<AbortSignal, Listening>()

/**
 * Calls back when a signal is aborted that is not yet, once. One listener of the signal itself serves all who listen to it:
 * Node takes more than ten for a leak, and says so on the console of whoever gives one signal to many calls. Where there is
 * no signal nothing happens.
 */
export function listenToAbort(signal: AbortSignal | undefined, callback: () => void): void {
  if (signal === undefined) return
  const known = listening.get(signal) ?? listenTo(signal)
  known.callbacks.add(callback)
}

/** Ends what `listenToAbort` has begun. When nobody is left to call, nothing holds the signal any more. */
export function ignoreAbort(signal: AbortSignal | undefined, callback: () => void): void {
  if (signal === undefined) return
  const known = listening.get(signal)
  if (known === undefined || !known.callbacks.delete(callback) || known.callbacks.size > 0) return
  listening.delete(signal)
  signal.removeEventListener('abort', known.onAbort)
}

function listenTo(signal: AbortSignal): Listening {
  const callbacks = new Set<() => void>()
  const onAbort = () => {
    try {
      callAll([...callbacks], callbacks)
    } finally {
      listening.delete(signal)
    }
  }
  const made = { callbacks, onAbort }
  listening.set(signal, made)
  signal.addEventListener('abort', onAbort, { once: true })
  return made
}

/** In the order in which they came, but for those that end their listening meanwhile. What one throws stops no other. */
function callAll(inOrder: readonly (() => void)[], callbacks: Set<() => void>): void {
  for (const [at, callback] of inOrder.entries()) {
    if (!callbacks.delete(callback)) continue
    try {
      callback()
    } catch (error) {
      callAll(inOrder.slice(at + 1), callbacks)
      throw error
    }
  }
}
