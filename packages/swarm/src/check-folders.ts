import type { Operation, Violation } from '@atoll/sim'

/** Listings with delimiter as such without: a common prefix says of none of its keys that it is absent. */
export function asListings(operations: readonly Operation[], keys: readonly string[]): Operation[] {
  return operations.flatMap((one) => {
    if (one.kind !== 'folders') return [one]
    const named = namesIn(one).flatMap((name) => keysOf(name, keys))
    return [{ ...one, kind: 'list', value: named.join(' ') }]
  })
}

/** Something was put under every key, and below every common prefix, that is shown, and did not certainly fail. */
export function checkFolders(operations: readonly Operation[], keys: readonly string[]): Violation[] {
  const puts = operations.filter(({ kind, outcome }) => kind === 'put' && outcome !== 'fail')
  return operations.flatMap((list) => {
    const before = puts.filter(({ began }) => began < list.ended)
    const ghosts = namesIn(list).filter((name) => {
      const possible = keysOf(name, keys)
      return !before.some(({ key }) => possible.includes(key))
    })
    return ghosts.map((key) => ({
      rule: 'false-listing',
      key,
      message: `${list.client} was shown it at ${list.beganMs.toFixed(3)} ms, and nobody had put anything there`,
    }))
  })
}

/** Keys, and common prefixes with a `*` behind them. */
function namesIn({ kind, outcome, value = '' }: Operation): readonly string[] {
  return kind === 'folders' && outcome === 'ok' ? value.split(' ').filter((name) => name !== '') : []
}

function keysOf(name: string, keys: readonly string[]): readonly string[] {
  return name.endsWith('*') ? keys.filter((key) => key.startsWith(name.slice(0, -1))) : [name]
}
