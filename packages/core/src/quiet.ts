import type { Log, Probe } from './runtime.ts'

const ignore = () => {}

/** A log that goes nowhere. */
export const quietLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** A probe that nobody reads. */
export const quietProbe: Probe = { mark: ignore }
