import { AtollError, type Timer } from '@atoll/core'
import { isAdmitted, notMember } from './admission.ts'
import { HeldCalls } from './held-calls.ts'
import { isUrgent } from './lanes.ts'
import { type Asked, ServerCall, type ServerCallOwner } from './server-call.ts'
import type { ServerLinkParts } from './server-link.ts'
import type { Wire } from './wire.ts'

/** Where nothing waits for the peer any more, so many held requests are taken up, and as many again after the pause. */
const TAKEN_AT_ONCE = 16
const PAUSE_MS = 5

type Overload = 'handlers' | 'queue'

/**
 * The calls that one connection serves. While too many answers wait for the peer, its further requests wait as well,
 * urgent ones and those that strangers may ask excepted: memory is for what was begun. Then one request is taken up for
 * each frame that leaves, so that handlers and answers together do not become more.
 */
export class ServerCalls implements ServerCallOwner {
  readonly #wire: Wire
  readonly #parts: ServerLinkParts
  readonly #calls = new Map<number, ServerCall>()
  readonly #held = new HeldCalls()
  #pause: Timer | undefined

  constructor(wire: Wire, parts: ServerLinkParts) {
    this.#wire = wire
    this.#parts = parts
  }

  /** Takes up a request, or keeps it until there is room, or refuses it. It can be cancelled from here on. */
  receive(asked: Asked, from: string): void {
    const call = this.#register(asked, from)
    if (!this.#mustWait(call)) this.#start(call)
    else if (!this.#hold(call)) this.#refuse(call, 'queue')
  }

  cancel(id: number, reason: AtollError): void {
    this.#calls.get(id)?.cancel(reason)
  }

  /** Nobody waits for any of them. */
  cancelAll(reason: AtollError): void {
    for (const call of [...this.#calls.values()]) call.cancel(reason)
    this.#pause?.cancel()
    this.#pause = undefined
  }

  /** So many frames have left. */
  onDrained(frames: number): void {
    this.#takeUp(this.#wire.full ? frames : Math.max(frames, TAKEN_AT_ONCE))
  }

  onDone(call: ServerCall): void {
    this.#calls.delete(call.id)
    this.#held.delete(call)
    this.#parts.deadlines.remove(call)
    if (call.hasSlot) this.#parts.slots.free()
  }

  #register(asked: Asked, from: string): ServerCall {
    const { runtime, deadlines } = this.#parts
    const { id, remainingMs } = asked.request
    const nowMs = runtime.clock.monotonicMs()
    const call = new ServerCall(asked, {
      runtime,
      wire: this.#wire,
      from,
      deadlineMs: nowMs + remainingMs,
      owner: this,
    })
    this.#calls.set(id, call)
    deadlines.add(call, nowMs, remainingMs)
    return call
  }

  #mustWait(call: ServerCall): boolean {
    if (this.#held.size === 0 && !this.#wire.crowded) return false
    return !isUrgent(call.id) && !this.#parts.openToStrangers.has(call.method)
  }

  /** False if that would be too many. */
  #hold(call: ServerCall): boolean {
    const { options, runtime } = this.#parts
    if (this.#held.size >= options.maxInFlightPerPeer) return false
    if (this.#held.bytes + call.bytes > this.#wire.roomBytes) return false
    this.#held.add(call)
    runtime.metrics.count('atoll_rpc_held_total')
    return true
  }

  #takeUp(most: number): void {
    for (let taken = 0; taken < most && !this.#wire.crowded; taken++) {
      const call = this.#held.shift()
      if (call === undefined) return
      this.#start(call)
    }
    // A full wire tells when there is room again; otherwise there may be nothing to wait for, as when handlers wait for
    // other nodes.
    if (this.#held.size > 0 && !this.#wire.full) this.#pause ??= this.#createPause()
  }

  #createPause(): Timer {
    const go = () => {
      this.#pause = undefined
      if (!this.#wire.full) this.#takeUp(TAKEN_AT_ONCE)
    }
    return this.#parts.runtime.clock.timer(PAUSE_MS, go, { background: true })
  }

  #start(call: ServerCall): void {
    if (!this.#parts.slots.take()) {
      this.#refuse(call, 'handlers')
      return
    }
    const admitted = isAdmitted(this.#parts, call.from, call.method)
    if (typeof admitted === 'boolean') this.#begin(call, admitted)
    else void this.#onceKnown(call, admitted)
  }

  /** The slot is kept meanwhile even if the call is given up: what is being asked takes memory, too. */
  async #onceKnown(call: ServerCall, admitted: Promise<boolean>): Promise<void> {
    const isMember = await admitted
    if (call.over) this.#parts.slots.free()
    else this.#begin(call, isMember)
  }

  #begin(call: ServerCall, admitted: boolean): void {
    call.hasSlot = true
    if (admitted) call.begin()
    else call.refuse(notMember({ node: this.#parts.options.node, from: call.from, method: call.method }))
  }

  #refuse(call: ServerCall, what: Overload): void {
    const { options, slots, runtime } = this.#parts
    runtime.metrics.count('atoll_rpc_overloaded_total', 1, { what })
    const why =
      what === 'handlers'
        ? `${slots.limit} handlers run on ${options.node}`
        : `too many answers of ${options.node} wait for ${call.from} to read them`
    call.refuse(new AtollError('ATOLL_OVERLOADED', why))
  }
}
