import { Prng } from './prng.ts'

/** How one option is drawn. */
export type Draw<T> = (prng: Prng) => T

export type Draws<T extends object> = { readonly [K in keyof T]: Draw<T[K]> }

export const integer =
  (min: number, max: number): Draw<number> =>
  (prng) =>
    prng.between(min, max)

export const oneOf =
  <const T>(...choices: readonly T[]): Draw<T> =>
  (prng) =>
    prng.pick(choices)

/** In `permille` of 1000 draws what `draw` gives, and else `otherwise`: whole features are off in some runs. */
export const sometimes =
  <T, const O>(permille: number, draw: Draw<T>, otherwise: O): Draw<T | O> =>
  (prng) =>
    prng.chance(permille) ? draw(prng) : otherwise

/**
 * Draws every option from the seed (swarm testing: Groce, Zhang, Eide, Chen and Regehr, 2012). Each has a generator of its
 * own, so that a new option leaves the others of a known seed as they were. What is drawn may say that some are drawn
 * another way.
 */
export function drawOptions<T extends object>(
  seed: number | string,
  draws: Draws<T>,
  instead: (drawn: T) => Partial<Draws<T>> = () => ({}),
): T {
  const prng = new Prng(`${seed}/options`)
  const drawn: Partial<T> = {}
  for (const name in draws) drawn[name] = draws[name](prng.fork(name))
  // Every key of T was just filled in: the draws have the same keys.
  const options = drawn as T
  const others = instead(options)
  for (const name in others) options[name] = others[name]?.(prng.fork(name)) ?? options[name]
  return options
}
