import { MINUTE_MS } from '@atoll/core'
import type { CoordinatorSettings } from './options.ts'

/** More nodes than this are not remembered at once; the one first heard of is forgotten. */
const MAX_NODES = 1024

/** A node that was not asked for so long counts as never heard of: it may have recovered. */
const STALE_MS = MINUTE_MS

/** Weights of a new observation, those of TCP's round-trip estimator (Jacobson 1988, RFC 6298 section 2). */
const MEAN_GAIN = 1 / 8
const DEVIATION_GAIN = 1 / 4

/** 95 % of a normal distribution lies below mean + 1.645 sigma, and sigma is 1.25 mean deviations: 2.06 of them. */
const P95_DEVIATIONS = 2.06

type Bounds = Pick<CoordinatorSettings, 'hedgeStartMs' | 'hedgeMinMs' | 'hedgeMaxMs'>

interface Estimate {
  /** Of answers: what a hedge goes by. */
  meanMs: number
  deviationMs: number
  /** Of all that was asked, unanswered too: what the choice of a node goes by. */
  costMs: number
  heardAtMs: number
}

/**
 * How long nodes take to answer a read. A read that another node won tells only that its time was longer, which makes
 * the loser less attractive; were it taken for an answer, every hedge would delay the next one.
 */
export class Latency {
  readonly #bounds: Bounds
  readonly #nodes = new Map<string, Estimate>()

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  answered(node: string, elapsedMs: number, nowMs: number): void {
    const estimate = this.#nodes.get(node)
    if (estimate === undefined) {
      this.#add(node, { meanMs: elapsedMs, deviationMs: elapsedMs / 2, costMs: elapsedMs, heardAtMs: nowMs })
      return
    }
    const error = elapsedMs - estimate.meanMs
    estimate.meanMs += MEAN_GAIN * error
    estimate.deviationMs += DEVIATION_GAIN * (Math.abs(error) - estimate.deviationMs)
    estimate.costMs += MEAN_GAIN * (elapsedMs - estimate.costMs)
    estimate.heardAtMs = nowMs
  }

  /** It was given up after `elapsedMs`. */
  outrun(node: string, elapsedMs: number, nowMs: number): void {
    const estimate = this.#nodes.get(node) ?? this.#add(node, this.#unheard(nowMs))
    estimate.costMs += MEAN_GAIN * Math.max(0, elapsedMs - estimate.costMs)
    estimate.heardAtMs = nowMs
  }

  failed(node: string, nowMs: number): void {
    this.outrun(node, this.#bounds.hedgeMaxMs, nowMs)
  }

  /** What asking a node costs; nothing for one of which nothing is known, so that it is tried. */
  costMs(node: string, nowMs: number): number {
    const estimate = this.#nodes.get(node)
    return estimate === undefined || nowMs - estimate.heardAtMs > STALE_MS ? 0 : estimate.costMs
  }

  /** How long to wait for a node before another is asked: about the p95 of its answers. */
  hedgeMs(node: string): number {
    const { hedgeStartMs, hedgeMinMs, hedgeMaxMs } = this.#bounds
    const estimate = this.#nodes.get(node)
    if (estimate === undefined) return hedgeStartMs
    const p95Ms = estimate.meanMs + P95_DEVIATIONS * estimate.deviationMs
    return Math.min(hedgeMaxMs, Math.max(hedgeMinMs, p95Ms))
  }

  #unheard(nowMs: number): Estimate {
    const { hedgeStartMs } = this.#bounds
    return { meanMs: hedgeStartMs, deviationMs: 0, costMs: hedgeStartMs, heardAtMs: nowMs }
  }

  #add(node: string, estimate: Estimate): Estimate {
    if (this.#nodes.size >= MAX_NODES) {
      const [oldest] = this.#nodes.keys()
      if (oldest !== undefined) this.#nodes.delete(oldest)
    }
    this.#nodes.set(node, estimate)
    return estimate
  }
}
