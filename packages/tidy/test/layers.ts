/** The floors of the house. A package imports from lower floors only. */
export const FLOORS: readonly (readonly string[])[] = [
  ['core'],
  ['ring', 'causality', 'merkle', 'consensus'],
  ['transport', 'transport-tcp'],
  ['vnode', 'gossip', 'membership'],
  ['coordinator', 'replicas', 'handoff'],
  ['objects'],
  ['s3', 'replication'],
  ['node'],
  ['store', 'cli', 'admin'],
]

/** A plug imports the port on its own floor that it implements. */
const PLUGS: Readonly<Record<string, string>> = { 'transport-tcp': 'transport' }

/** Kits are for tests; they stand on the ports alone, so that anything can be tested with them. */
const KITS = ['sim', 'conformance']
const KITS_STAND_ON = ['core', 'transport']

/** Databases under the vnodes. They know nothing of Atoll but `core`, and are handed in from the top. */
const STORAGES = ['value-log-level']
const LOWEST_WITH_STORAGES = 7

/** Packages of this repository that nobody imports. */
const TOPS = ['swarm', 'bench', 'tidy']

/** What a package could import by its floor, and must not. */
const APART: readonly { readonly from: string; readonly to: string; readonly because: string }[] = [
  {
    from: 'vnode',
    to: 'transport',
    because: 'it knows no network: replicas serves it, and handoff moves its records',
  },
  {
    from: 'coordinator',
    to: 'vnode',
    because: 'it declares Replicas in its ports.ts, and node hands one in',
  },
  {
    from: 'coordinator',
    to: 'replicas',
    because: 'it declares Replicas in its ports.ts, and node hands one in',
  },
  {
    from: 'objects',
    to: 'coordinator',
    because: 'it declares KvStore in its ports.ts, and node hands one in',
  },
  {
    from: 'replication',
    to: 'coordinator',
    because: 'it declares what it needs in its ports.ts, and node hands it in',
  },
]

/** The packages that see Node's types, timers and globals. All others get these through `Runtime`. */
const EDGE = ['transport-tcp', 'node', 'store', 'cli', 'admin', ...KITS, ...STORAGES, ...TOPS]

const isExample = (name: string) => name.startsWith('example-')
const isTop = (name: string) => TOPS.includes(name) || isExample(name)
const floorOf = (name: string) => FLOORS.findIndex((floor) => floor.includes(name))

export function isKnown(name: string): boolean {
  return isTop(name) || KITS.includes(name) || STORAGES.includes(name) || floorOf(name) >= 0
}

export function isPure(name: string): boolean {
  return !EDGE.includes(name) && !isExample(name)
}

export function isKit(name: string): boolean {
  return KITS.includes(name)
}

/** Whether two packages are on the same floor. */
export function areSiblings(one: string, other: string): boolean {
  return floorOf(one) >= 0 && floorOf(one) === floorOf(other)
}

/** Why `from` must not import `to` in its sources; undefined if it may. */
export function refusal(from: string, to: string): string | undefined {
  if (from === to) return 'a package imports its own files by their paths'
  if (!isKnown(to)) return 'that is not in the table of layers.ts'
  if (isTop(to)) return `${to} stands on top of the house: nothing imports it`
  if (isTop(from)) return undefined
  if (KITS.includes(from))
    return KITS_STAND_ON.includes(to) ? undefined : `kits import only ${KITS_STAND_ON.join(' and ')}`
  if (KITS.includes(to)) return 'kits are for tests: make it a devDependency and import it there'
  if (STORAGES.includes(from)) return to === 'core' ? undefined : 'storages import only core'
  if (STORAGES.includes(to)) {
    return floorOf(from) >= LOWEST_WITH_STORAGES
      ? undefined
      : 'below the top, a database is handed in by the application'
  }
  return refusalByFloor(from, to)
}

function refusalByFloor(from: string, to: string): string | undefined {
  const apart = APART.find((pair) => pair.from === from && pair.to === to)
  if (apart !== undefined) return apart.because
  if (floorOf(from) > floorOf(to) || PLUGS[from] === to) return undefined
  const where = floorOf(from) === floorOf(to) ? 'the same floor' : 'a higher floor'
  return `it is on ${where}: declare what you need in ports.ts and let a higher package hand it in`
}
