/** What one round measured, in the unit of its row. */
export interface Sample {
  readonly figure: number
  /** 99th percentile of latencies, in microseconds. */
  readonly p99Us?: number
  /** Microseconds of processor time for an operation, of all processes. */
  readonly cpuUs?: number
}

export interface Contest {
  readonly subject: () => Promise<Sample>
  readonly limit: () => Promise<Sample>
}

export interface Samples {
  readonly subject: readonly Sample[]
  readonly limit: readonly Sample[]
}

/** Rounds of a subject and its limit in turn, in swapped order, after one of each that does not count. */
export async function inTurn(rounds: number, { subject, limit }: Contest): Promise<Samples> {
  const samples: { subject: Sample[]; limit: Sample[] } = { subject: [], limit: [] }
  await limit()
  await subject()
  for (let round = 0; round < rounds; round++) {
    const limitFirst = round % 2 === 0
    if (limitFirst) samples.limit.push(await limit())
    samples.subject.push(await subject())
    if (!limitFirst) samples.limit.push(await limit())
  }
  return samples
}
