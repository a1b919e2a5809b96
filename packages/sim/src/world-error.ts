/**
 * - `deadlock`: nothing is left to happen, and the run still waits.
 * - `virtual-time`, `events`: a limit of the run was passed.
 * - `thrown`: an event threw.
 * - `real-time`: the real clock, a real timer or real chance was used.
 * - `unhandled`: a promise was rejected and nobody looked.
 */
export type WorldFailure = 'deadlock' | 'virtual-time' | 'events' | 'thrown' | 'real-time' | 'unhandled'

/** A run that could not come to its end. Its message ends with the timeline. */
export class WorldError extends Error {
  override readonly name = 'WorldError'
  readonly failure: WorldFailure
  /** The message without the timeline. */
  readonly summary: string
  readonly timeline: readonly string[]

  constructor(failure: WorldFailure, message: string, context: WorldErrorContext) {
    const { timeline, cause } = context
    super([message, ...timeline].join('\n  '), cause === undefined ? undefined : { cause })
    this.failure = failure
    this.summary = message
    this.timeline = timeline
  }
}

export interface WorldErrorContext {
  readonly timeline: readonly string[]
  readonly cause?: unknown
}
