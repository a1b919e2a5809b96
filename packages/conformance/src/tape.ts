import assert from 'node:assert/strict'
import type { Harness } from './harness.ts'

/** The part of tape's test object that abstract-level's suite uses. */
export interface Tape {
  plan(count: number): void
  end(): void
  pass(message?: string): void
  fail(message?: string): void
  ok(value: unknown, message?: string): void
  is(actual: unknown, expected: unknown, message?: string): void
  isNot(actual: unknown, expected: unknown, message?: string): void
  same(actual: unknown, expected: unknown, message?: string): void
  throws(run: () => unknown, expected: (error: unknown) => boolean, message?: string): void
  doesNotThrow(run: () => unknown, message?: string): void
}

export type TapeBody = (tape: Tape) => void | Promise<void>

/** Registers tests of tape's shape with another runner. */
export function tapeTest(harness: Harness): (name: string, body: TapeBody) => void {
  return (name, body) => void harness.test(name, () => runTape(body))
}

/**
 * Runs a test of tape's shape. It is over when its promise resolves, or else when it has called `end` or made as many
 * assertions as it planned. The first failed assertion fails it; so does an assertion too many or too few.
 */
export async function runTape(body: TapeBody): Promise<void> {
  const tape = new TapeTest()
  const returned = body(tape)
  if (returned !== undefined) {
    await Promise.race([returned, tape.failed])
    tape.checkPlan()
  } else await tape.finished
}

class TapeTest implements Tape {
  readonly finished: Promise<void>
  readonly failed: Promise<never>
  #finish: () => void = () => {}
  #fail: (reason: unknown) => void = () => {}
  #planned: number | undefined
  #made = 0

  constructor() {
    let fail: (reason: unknown) => void = () => {}
    this.failed = new Promise((_, reject) => {
      fail = reject
    })
    this.#fail = fail
    const ended = new Promise<void>((resolve) => {
      this.#finish = resolve
    })
    this.finished = Promise.race([ended, this.failed])
    // Whoever awaits these hears of the failure; nobody has to.
    this.failed.catch(() => {})
    this.finished.catch(() => {})
  }

  plan(count: number): void {
    this.#planned = count
    if (count === 0) this.#finish()
  }

  end(): void {
    this.#guard(() => this.checkPlan())
    this.#finish()
  }

  checkPlan(): void {
    if (this.#planned !== undefined) assert.equal(this.#made, this.#planned, 'assertions made and planned')
  }

  pass(): void {
    this.#check(() => {})
  }

  fail(message?: string): void {
    this.#check(() => assert.fail(message))
  }

  ok(value: unknown, message?: string): void {
    this.#check(() => assert.ok(value, message))
  }

  is(actual: unknown, expected: unknown, message?: string): void {
    this.#check(() => assert.equal(actual, expected, message))
  }

  isNot(actual: unknown, expected: unknown, message?: string): void {
    this.#check(() => assert.notEqual(actual, expected, message))
  }

  same(actual: unknown, expected: unknown, message?: string): void {
    this.#check(() => assert.deepEqual(actual, expected, message))
  }

  throws(run: () => unknown, expected: (error: unknown) => boolean, message?: string): void {
    this.#check(() => assert.throws(run, expected, message))
  }

  doesNotThrow(run: () => unknown, message?: string): void {
    this.#check(() => assert.doesNotThrow(run, message))
  }

  #check(assertion: () => void): void {
    this.#made += 1
    this.#guard(assertion)
    if (this.#planned === undefined) return
    if (this.#made > this.#planned) this.#guard(() => this.checkPlan())
    if (this.#made === this.#planned) this.#finish()
  }

  /** A failed assertion fails the test even where the code under test swallows what it throws. */
  #guard(assertion: () => void): void {
    try {
      assertion()
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }
}
