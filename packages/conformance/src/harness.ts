/** What a suite needs of a test runner. Vitest and `node:test` both fit. */
export interface Harness {
  /** Groups the tests that `body` registers. */
  describe(name: string, body: () => void): unknown
  /** Registers one test. Tests of a group run one after the other, in the order of registration. */
  test(name: string, body: () => void | Promise<void>): unknown
}
