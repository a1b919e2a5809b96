import { AtollError, isAtollError } from '@atoll/core'
import { onAskedBack, onSealed } from './incoming.ts'
import { returnMethod, sealMethod } from './methods.ts'
import type { Site } from './site.ts'
import { Transfer } from './transfer.ts'
import type { TransferPlan } from './transfer-machine.ts'

/** How often a node that does not know of a seal is told of it before a request is given up. */
const RESEAL_TRIES = 6
const RESEAL_PAUSE_MS = 20

/** The transfers that are under way. */
export interface Transfers {
  start(plan: TransferPlan): Promise<void>
  /** Resolves when none of the partition is under way any more. */
  end(partition: number): Promise<void>
  /** Does something while none of the partition may begin. Throws `ATOLL_OVERLOADED` if one is under way. */
  without(partition: number, work: () => Promise<void>): Promise<void>
}

/** What nodes tell each other of partitions that were handed over, or are wanted back. */
export class Seals {
  readonly #site: Site
  readonly #transfers: Transfers

  constructor(site: Site, transfers: Transfers) {
    this.#site = site
    this.#transfers = transfers
  }

  /**
   * Another node accepts nothing for a partition any more. If it is the one to which this node had handed it over, the
   * partition has come back; else this node serves what that one forwards.
   */
  async onSealed(partition: number, from: string): Promise<'done'> {
    const { gates } = this.#site.host
    switch (onSealed({ gate: gates.get(partition) }, from)) {
      case 'later':
        throw new AtollError('ATOLL_UNREACHABLE', `partition ${partition} is just being returned`)
      case 'come-back':
        await this.#transfers.end(partition)
        await this.#transfers.without(partition, () => this.#unseal(partition))
        break
      case 'accept':
        gates.accept(partition, from)
    }
    return 'done'
  }

  /** The owner wants back what it had handed over to this node. */
  async onAskedBack(partition: number, from: string): Promise<'done'> {
    const { host, isOwn, node } = this.#site
    const gate = host.gates.get(partition)
    const inboundFrom = host.gates.inboundFrom(partition)
    switch (onAskedBack({ gate, inboundFrom, isOwn: isOwn?.(partition) === true }, from)) {
      case 'mine':
        throw new AtollError('ATOLL_CHANGE_REFUSED', `partition ${partition} belongs to ${node} now`)
      case 'unsealed':
        throw unsealed(partition)
      case 'return':
        void this.#transfers.start({ partition, to: from, isReturn: true }).catch(() => {})
    }
    return 'done'
  }

  /**
   * Asks for a partition back until it is here. A node that has filed its records by more partitions since gives back what
   * it has of it, as it does what lies there for nobody.
   */
  async askBack(partition: number, signal: AbortSignal): Promise<void> {
    const { host, endpoint, options } = this.#site
    for (;;) {
      signal.throwIfAborted()
      const to = host.gates.get(partition)?.to
      if (to === undefined) return
      try {
        await endpoint.call(
          to,
          returnMethod,
          { partition, partitions: host.filed },
          { timeoutMs: options.callTimeoutMs, signal },
        )
      } catch (error) {
        if (isAtollError(error, 'ATOLL_CHANGE_REFUSED')) throw error
        if (isAtollError(error) && Number(error.details['filed']) > host.filed) return this.#unseal(partition)
        // It has restarted, and takes part again once it has heard of the seal.
        if (isAtollError(error) && error.details['unsealed'] === true) await this.#tell(partition, to)
      }
      await host.gates.changed(partition, options.retryBaseMs)
    }
  }

  /** Tells the other node once more that a partition was handed over to it, if it still is. */
  async reseal(partition: number): Promise<void> {
    const { host, endpoint, options } = this.#site
    for (let tries = 1; ; tries++) {
      const gate = host.gates.get(partition)
      if (gate?.phase !== 'sealed') return
      try {
        await endpoint.call(
          gate.to,
          sealMethod,
          { partition, partitions: host.filed },
          { timeoutMs: options.pauseTimeoutMs },
        )
        return
      } catch (error) {
        if (tries === RESEAL_TRIES) throw error
      }
      // Perhaps it is just being returned.
      await host.gates.changed(partition, RESEAL_PAUSE_MS * 2 ** tries)
    }
  }

  async #tell(partition: number, to: string): Promise<void> {
    const { host, endpoint, options } = this.#site
    const { pauseTimeoutMs: timeoutMs } = options
    await endpoint.call(to, sealMethod, { partition, partitions: host.filed }, { timeoutMs }).catch(() => {})
  }

  async #unseal(partition: number): Promise<void> {
    const { gates } = this.#site.host
    const gate = gates.get(partition)
    if (gate === undefined) return
    gates.set(partition, { ...gate, phase: 'resealing' })
    try {
      if (!(await gates.forwardsEnd(partition, this.#site.options.pauseTimeoutMs))) {
        throw new AtollError('ATOLL_TIMEOUT', `requests for partition ${partition} are still under way`)
      }
      await new Transfer(this.#site, { partition, ...gate }).forget()
    } catch (error) {
      if (gates.get(partition) !== undefined) gates.set(partition, gate)
      throw error
    }
    this.#site.runtime.log.info({ partition, from: gate.to }, 'a partition has come back')
  }
}

function unsealed(partition: number): AtollError {
  const message = `nobody has handed partition ${partition} over to this node`
  return new AtollError('ATOLL_UNREACHABLE', message, { details: { partition, unsealed: true } })
}
