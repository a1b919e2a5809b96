// abstract-level publishes its own test suite without types. It wants a test function of tape's shape.

declare module 'abstract-level/test/index.js' {
  interface SuiteOptions {
    test(name: string, body: (tape: import('./tape.ts').Tape) => void | Promise<void>): void
    factory(options?: object): object
  }
  export default function suite(options: SuiteOptions): void
}
