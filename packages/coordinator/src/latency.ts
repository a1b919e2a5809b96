import type { CoordinatorSettings } from './options.ts'

/** More nodes than this are not remembered at once; the one first heard of is forgotten. */
const MAX_NODES = 1024

/** Weights of a new observation, those of TCP's round-trip estimator (Jacobson 1988, RFC 6298 section 2). */
const MEAN_GAIN = 1 / 8
const DEVIATION_GAIN = 1 / 4

/** 95 % of a normal distribution lies below mean + 1.645 sigma, and sigma is 1.25 mean deviations: 2.06 of them. */
const P95_DEVIATIONS = 2.06

interface Estimate {
  meanMs: number
  deviationMs: number
}

/** How long nodes take to answer a read: a running mean and mean deviation for each. */
export class Latency {
  readonly #bounds: Pick<CoordinatorSettings, 'hedgeStartMs' | 'hedgeMinMs' | 'hedgeMaxMs'>
  readonly #nodes = new Map<string, Estimate>()

  constructor(bounds: Pick<CoordinatorSettings, 'hedgeStartMs' | 'hedgeMinMs' | 'hedgeMaxMs'>) {
    this.#bounds = bounds
  }

  observe(node: string, elapsedMs: number): void {
    const estimate = this.#nodes.get(node)
    if (estimate === undefined) {
      this.#first(node, elapsedMs)
      return
    }
    const error = elapsedMs - estimate.meanMs
    estimate.meanMs += MEAN_GAIN * error
    estimate.deviationMs += DEVIATION_GAIN * (Math.abs(error) - estimate.deviationMs)
  }

  /** What to expect of a node; one never heard of is taken for slow. */
  meanMs(node: string): number {
    return this.#nodes.get(node)?.meanMs ?? this.#bounds.hedgeStartMs
  }

  /** How long to wait for a node before another is asked: about the p95 of its answers. */
  hedgeMs(node: string): number {
    const { hedgeStartMs, hedgeMinMs, hedgeMaxMs } = this.#bounds
    const estimate = this.#nodes.get(node)
    if (estimate === undefined) return hedgeStartMs
    const p95Ms = estimate.meanMs + P95_DEVIATIONS * estimate.deviationMs
    return Math.min(hedgeMaxMs, Math.max(hedgeMinMs, p95Ms))
  }

  #first(node: string, elapsedMs: number): void {
    if (this.#nodes.size >= MAX_NODES) {
      const [oldest] = this.#nodes.keys()
      if (oldest !== undefined) this.#nodes.delete(oldest)
    }
    this.#nodes.set(node, { meanMs: elapsedMs, deviationMs: elapsedMs / 2 })
  }
}
