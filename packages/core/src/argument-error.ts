import { isError } from './realms.ts'
/** What an argument error says beside its message, to programs: the same fields as an `AtollError` has. */
export interface ArgumentFacts {
  readonly code: 'ATOLL_INVALID_ARGUMENT'
  /** Arguments are checked before anything is done. */
  readonly definite: true
  readonly transient: false
  readonly details: { readonly argument: string }
}

/** A wrong argument: a `TypeError` for a wrong type, a `RangeError` for a wrong value of the right type. */
export type ArgumentError = (TypeError | RangeError) & ArgumentFacts

/** The same in every copy of this package that a process has loaded. */
const BRAND = Symbol.for('@atoll/core ArgumentError')

/** A `TypeError` with the message "`argument` `problem`": `wrongType('n', 'must be a number, got "2"')`. */
export function wrongType(argument: string, problem: string): TypeError & ArgumentFacts {
  return marked(new TypeError(`${argument} ${problem}`), argument)
}

/** A `RangeError` with the message "`argument` `problem`": `wrongRange('n', 'must be at least 1, got 0')`. */
export function wrongRange(argument: string, problem: string): RangeError & ArgumentFacts {
  return marked(new RangeError(`${argument} ${problem}`), argument)
}

/** The error, known from now on as one of an argument, for messages that do not begin with the argument's name. */
export function marked<E extends TypeError | RangeError>(error: E, argument: string): E & ArgumentFacts {
  const facts = {
    code: 'ATOLL_INVALID_ARGUMENT',
    definite: true,
    transient: false,
    details: { argument },
  } as const
  const full = Object.assign(error, facts)
  // Not enumerable, since loggers print what is.
  Object.defineProperty(full, BRAND, { value: true })
  Object.defineProperty(full, 'toJSON', {
    value: () => ({ name: full.name, message: full.message, ...facts }),
  })
  return full
}

/** True for an error by which Atoll refused an argument; `error.details.argument` says which. */
export function isArgumentError(error: unknown): error is ArgumentError {
  return isError(error) && BRAND in error
}
