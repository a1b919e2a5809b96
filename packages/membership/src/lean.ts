import type { NodeName, ReplicaTable, Ring } from '@atoll/ring'
import { numberOfZones } from './zones.ts'

/**
 * Lists in which every node holds as much as in the wanted ones, and which take fewer copies to get to from those of now.
 *
 * Where a partition would change from node l to g, and l gets another partition, the two change their parts: l stays where
 * it is, and g goes where l would have gone. What is left, when no such pair is found, is mostly what the nodes hold more or
 * less than before, and that is the least that there can be. Replicas of one partition stay on as many zones as wanted.
 */
export function leanLists(now: ReplicaTable, wanted: ReplicaTable, zones: Ring['zones']): ReplicaTable {
  const lists = wanted.map((list) => [...list])
  const stays = new Set(wanted.flat())
  for (let improved = true; improved; ) {
    improved = false
    for (const [at, list] of lists.entries()) {
      const held = now[at] ?? []
      const leaving = held.filter((node) => stays.has(node) && !list.includes(node))
      for (const node of leaving) improved = keep(node, at, { now, lists, zones }) || improved
    }
  }
  return lists
}

interface Tables {
  readonly now: ReplicaTable
  readonly lists: NodeName[][]
  readonly zones: Ring['zones']
}

/** Lets `node` stay in the list at `at`, if one that would come there can go to a list where `node` would have come. */
function keep(node: NodeName, at: number, { now, lists, zones }: Tables): boolean {
  const list = lists[at] ?? []
  for (const comer of list) {
    if (now[at]?.includes(comer) === true) continue
    const here = exchanged(list, comer, node)
    if (numberOfZones(here, zones) < numberOfZones(list, zones)) continue
    const there = lists.findIndex((other, place) => {
      const fits = other.includes(node) && !other.includes(comer) && now[place]?.includes(node) !== true
      return fits && numberOfZones(exchanged(other, node, comer), zones) >= numberOfZones(other, zones)
    })
    if (there < 0) continue
    lists[there] = exchanged(lists[there] ?? [], node, comer)
    lists[at] = here
    return true
  }
  return false
}

function exchanged(list: readonly NodeName[], old: NodeName, by: NodeName): NodeName[] {
  return list.map((node) => (node === old ? by : node))
}
