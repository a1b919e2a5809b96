import { AtollError, type Clock } from '@atoll/core'
import type { Deadlines } from './deadlines.ts'
import type { CallCarrier, OutgoingCall } from './pending-call.ts'
import { encodeCancel, encodeRequest } from './protocol.ts'
import type { Wire } from './wire.ts'

export interface CallTableParts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** The node that is called, for messages. */
  readonly node: string
  readonly maxInFlight: number
  readonly nextId: (urgent: boolean) => number
}

/** The calls of one connection: those that wait to be sent, and those that wait for an answer. */
export class CallTable implements CallCarrier {
  readonly #parts: CallTableParts
  readonly #sent = new Map<number, OutgoingCall>()
  readonly #unsent = new Set<OutgoingCall>()
  #wire: Wire | undefined
  #lost: AtollError | undefined

  constructor(parts: CallTableParts) {
    this.#parts = parts
  }

  /** Starts to send. */
  connect(wire: Wire): void {
    this.#wire = wire
    this.pump()
  }

  submit(call: OutgoingCall): void {
    if (this.#lost !== undefined) {
      call.lose(this.#lost)
      return
    }
    const { clock, deadlines, node, maxInFlight } = this.#parts
    if (this.#sent.size + this.#unsent.size >= maxInFlight) {
      call.fail(new AtollError('ATOLL_OVERLOADED', `${maxInFlight} calls to ${node} wait for an answer`))
      return
    }
    const nowMs = clock.monotonicMs()
    deadlines.add(call, nowMs, call.deadlineMs - nowMs)
    if (this.#wire === undefined || (this.#wire.full && !call.urgent)) this.#unsent.add(call)
    else this.#send(call, this.#wire)
  }

  /** Sends what waits, as far as there is room. */
  pump(): void {
    if (this.#wire === undefined) return
    for (const call of this.#unsent) {
      if (this.#wire.full) return
      this.#unsent.delete(call)
      this.#send(call, this.#wire)
    }
  }

  /** The call that an answer belongs to; undefined if the answer is late or repeated. */
  find(id: number): OutgoingCall | undefined {
    return this.#sent.get(id)
  }

  forget(call: OutgoingCall, cancelled: boolean): void {
    this.#parts.deadlines.remove(call)
    if (call.id === 0) this.#unsent.delete(call)
    else if (this.#sent.delete(call.id)) this.#wire?.release()
    if (cancelled && call.id > 0) this.#wire?.send(encodeCancel(call.id), undefined, call.urgent)
  }

  /** The connection is gone, or was never made. */
  lose(cause: AtollError): void {
    this.#lost = cause
    for (const call of [...this.#sent.values(), ...this.#unsent]) call.lose(cause)
  }

  #send(call: OutgoingCall, wire: Wire): void {
    try {
      const { tuple, body } = call.encode()
      const id = this.#parts.nextId(call.urgent)
      // At least 1: a budget of nothing would be refused before the peer could look at it.
      const remainingMs = Math.max(1, Math.ceil(call.deadlineMs - this.#parts.clock.monotonicMs()))
      wire.send(encodeRequest({ id, method: call.method, remainingMs }, tuple), body, call.urgent)
      call.id = id
      this.#sent.set(id, call)
      wire.hold()
    } catch (error) {
      call.fail(error)
    }
  }
}
