import type { StoredRecord } from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import { Call } from './call.ts'
import type { Repair } from './repairs.ts'

export interface ReadRepairs {
  readonly id: KeyId
  readonly repairs: readonly Repair[]
  /** Whether the caller waits for them. */
  readonly first: boolean
}

/** What both kinds of reads do when their machine has come to an end. */
export abstract class ReadCall extends Call<StoredRecord | undefined> {
  /** What is answered once it is repaired, if the caller waits for that. */
  #met: { readonly record: StoredRecord | undefined } | undefined
  #isTimeUp = false

  protected override get patienceMs(): number {
    return this.site.settings.attemptTimeoutMs
  }

  /** What was found is answered, though the repairs that the caller waits for are not over: they go on. */
  protected override onTimeout(): void {
    this.#isTimeUp = true
    if (this.#met === undefined) this.onTimeUp()
    else this.resolve(this.#met.record)
  }

  /** Must answer the caller: the machine has not. */
  protected abstract onTimeUp(): void

  protected conclude(
    answer: { readonly record: StoredRecord | undefined } | undefined,
    { id, repairs, first }: ReadRepairs,
  ): void {
    const { repairs: repairing } = this.site
    if (answer !== undefined && first && !this.#isTimeUp) {
      this.#met = answer
      void repairing.repairAllNow(id, repairs).then(() => this.resolve(answer.record))
      return
    }
    if (answer !== undefined) this.resolve(answer.record)
    for (const repair of repairs) repairing.repair(id, repair)
  }
}
