import type { Runtime } from '@atoll/core'

/** Something that a build before has written otherwise than this one would, and how that is made good. */
export interface Conversion {
  /** What is converted, for the log: "index entries are brought into one order". */
  readonly about: string
  /** False where there is nothing to be done, not even a note. */
  readonly isNeeded: boolean
  /** Partitions that are left. */
  readonly left: ReadonlySet<number>
  /**
   * Does some of a partition, from the beginning or behind what the step before has answered. The partition is done, and not
   * left any more, when this answers undefined.
   */
  step(partition: number, after: Uint8Array | undefined): Promise<ConversionStep | undefined>
  /** Notes that nothing is left. */
  done(): Promise<void>
}

export interface ConversionStep {
  /** How many things were converted. */
  readonly count: number
  readonly last: Uint8Array
}

/** Looks which partitions have something to be converted, and makes `left` say so. */
export async function findLeft(
  left: Set<number>,
  partitions: number,
  hasSome: (partition: number) => Promise<boolean>,
): Promise<void> {
  left.clear()
  for (let partition = 0; partition < partitions; partition++)
    if (await hasSome(partition)) left.add(partition)
}

/** After a step nothing is done for as long as it took, and for this long at least: others want the disk as well. */
const LEAST_PAUSE_MS = 5
/** After a failure. */
const RETRY_MS = 5000

/**
 * What builds before have left is converted while the node serves: one conversion after the other, a partition after the
 * other. Each goes on wherever it was interrupted, for it knows from the data what is done.
 */
export class Conversions {
  readonly #runtime: Runtime
  readonly #conversions: readonly Conversion[]
  #stop = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(runtime: Runtime, conversions: readonly Conversion[]) {
    this.#runtime = runtime
    this.#conversions = conversions
  }

  start(): void {
    this.#stop = new AbortController()
    this.#running = this.#run(this.#stop.signal)
  }

  /** Resolves when everything is converted, or when it was stopped. */
  get settled(): Promise<void> {
    return this.#running
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (const conversion of this.#conversions)
      if (conversion.isNeeded && !signal.aborted) await this.#convert(conversion, signal)
  }

  async #convert(conversion: Conversion, signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#runtime
    const { about } = conversion
    const partitions = conversion.left.size
    const startMs = clock.monotonicMs()
    if (partitions > 0) log.info({ partitions }, `${about}, while the node serves`)
    let count = 0
    while (!signal.aborted) {
      try {
        for (const partition of conversion.left)
          count += await this.#convertOne(conversion, partition, signal)
        await conversion.done()
        const tookMs = Math.round(clock.monotonicMs() - startMs)
        if (partitions > 0) log.info({ partitions, count, tookMs }, `${about}: that is done`)
        return
      } catch (error) {
        if (signal.aborted) return
        log.warn({ err: error, partitions: conversion.left.size }, `${about}: that goes on later`)
        await clock.sleep(RETRY_MS, { signal }).catch(() => {})
      }
    }
  }

  async #convertOne(conversion: Conversion, partition: number, signal: AbortSignal): Promise<number> {
    const { clock } = this.#runtime
    let count = 0
    let after: Uint8Array | undefined
    for (;;) {
      signal.throwIfAborted()
      const startMs = clock.monotonicMs()
      const step = await conversion.step(partition, after)
      if (step === undefined) return count
      after = step.last
      count += step.count
      await clock.sleep(Math.max(LEAST_PAUSE_MS, clock.monotonicMs() - startMs), { signal })
    }
  }
}
