import { createRing } from '@atoll/ring'
export function zonesOf(members) {
  return new Map(
    [...members.values()].flatMap(({ node, zone }) => (zone === undefined ? [] : [[node, zone]])),
  )
}
/** A ring of these owners with the zones of the members. */
export function ringOf(owners, members) {
  return createRing({ partitions: owners.length, owners, zones: zonesOf(members) })
}
//# sourceMappingURL=zones.js.map
