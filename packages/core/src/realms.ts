/**
 * Kinds of values, whichever realm they come from. Some test runners (jest, vitest with `vmThreads`) load a program into
 * a context of `node:vm`. It has an `Error`, a `Promise` and a `Uint8Array` of its own there, while what comes out of
 * Node's modules is made of the other ones: `instanceof` knows only one of the two.
 */

const TAG = Object.prototype.toString

/** True for an error, and for what an aborted signal gives as its reason: a `DOMException`. */
export function isError(value: unknown): value is Error {
  if (value instanceof Error) return true
  if (typeof value !== 'object' || value === null || !('message' in value)) return false
  if (typeof value.message !== 'string') return false
  const tag = TAG.call(value)
  return tag === '[object Error]' || tag === '[object DOMException]'
}

/** True for a `Uint8Array`, which a `Buffer` is. */
export function isBytes(value: unknown): value is Uint8Array {
  return (
    value instanceof Uint8Array || (ArrayBuffer.isView(value) && TAG.call(value) === '[object Uint8Array]')
  )
}

/** True for a promise; one that `then` alone makes does not count. */
export function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise || (typeof value === 'object' && TAG.call(value) === '[object Promise]')
}

/** The code of an error of Node or of a library, which is no `AtollError` often; undefined for anything without one. */
export function codeOf(error: unknown): unknown {
  return isError(error) && 'code' in error ? error.code : undefined
}
