import { type Runtime, utf8 } from '@atoll/core'

/** Every bucket of a name has the id of the first one. */
export function oneIdForAName(runtime: Runtime): Runtime {
  const { digest } = runtime
  const sha1 = (data: Uint8Array) => {
    const text = Buffer.from(data).toString('latin1')
    return digest.sha1(text.startsWith('bucket ') ? utf8(text.replace(/\d+$/, '1')) : data)
  }
  return { ...runtime, digest: { ...digest, sha1 } }
}

/** What a deletion of a bucket waits for, as it is in the object layer. */
const WAIT_MS = 1250

/** Whoever deletes a bucket does not wait until what was known of it is forgotten. */
export function hastyDeletions(runtime: Runtime): Runtime {
  const { clock } = runtime
  const sleep: typeof clock.sleep = (ms, options) => clock.sleep(ms === WAIT_MS ? 0 : ms, options)
  return {
    ...runtime,
    clock: {
      monotonicMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      timer: (...request) => clock.timer(...request),
      sleep,
    },
  }
}
