/** Called when the real world was used: `what` as it stands in a program, such as `setTimeout`. */
export type OnRealTime = (what: string) => Error

/** Test runners and Node itself go on with their own work meanwhile. */
const EXEMPT =
  /\bnode:|[\\/]node_modules[\\/](?:\.pnpm[\\/])?(?:vitest|@vitest|jest|@jest|mocha|tinypool|birpc)[\\/@+-]/

/** Frames of a stack before the one that called: the message, and two of this file. */
const OWN_LINES = 3

const watchers = new Set<OnRealTime>()
let restore: (() => void) | undefined

/**
 * Until the answer is called, `setTimeout`, `setInterval`, `setImmediate`, `Date.now`, `new Date()`, `performance.now` and
 * `Math.random` tell `onUse` that they were called, and throw what it answers: they would not be the same in the next run of
 * the seed. Worlds that run at the same time share this.
 */
export function guardRealTime(onUse: OnRealTime): () => void {
  watchers.add(onUse)
  restore ??= install()
  return () => {
    watchers.delete(onUse)
    if (watchers.size > 0) return
    restore?.()
    restore = undefined
  }
}

function install(): () => void {
  const undo = [
    replace(globalThis, 'setTimeout', (real) => guarded('setTimeout', real)),
    replace(globalThis, 'setInterval', (real) => guarded('setInterval', real)),
    replace(globalThis, 'setImmediate', (real) => guarded('setImmediate', real)),
    replace(globalThis, 'Date', guardedDate),
    replace(performance, 'now', (real) => guarded('performance.now', real.bind(performance))),
    replace(Math, 'random', (real) => guarded('Math.random', real)),
  ]
  return () => {
    for (const back of undo) back()
  }
}

/** A test may have frozen it: then it stays as it is. */
function replace<T extends object, K extends keyof T>(
  owner: T,
  name: K,
  by: (real: T[K]) => T[K],
): () => void {
  const real = owner[name]
  Reflect.set(owner, name, by(real))
  return () => void Reflect.set(owner, name, real)
}

/** The same function with all that hangs on it, such as what `util.promisify` makes of it. */
function guarded<F extends (...args: never[]) => unknown>(what: string, real: F): F {
  return new Proxy(real, {
    apply: (target, self, args) => {
      check(what)
      return Reflect.apply(target, self, args)
    },
  })
}

function guardedDate(real: DateConstructor): DateConstructor {
  const now = guarded('Date.now', real.now)
  return new Proxy(real, {
    construct: (target, args, newTarget) => {
      if (args.length === 0) check('new Date()')
      return Reflect.construct(target, args, newTarget)
    },
    get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
  })
}

function check(what: string): void {
  const [watcher] = watchers
  if (watcher === undefined) return
  const caller = new Error(what).stack?.split('\n')[OWN_LINES] ?? ''
  if (caller === '' || EXEMPT.test(caller)) return
  throw watcher(`${what} was called ${caller.trim()}`)
}
