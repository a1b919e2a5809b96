/** The members that decide the next epoch by majority: those that are valid or leaving. In the order of their names. */
export function votersOf({ members }) {
  return [...members.values()]
    .filter(({ state }) => state === 'valid' || state === 'leaving')
    .map(({ node }) => node)
    .sort()
}
export function isMajority(some, all) {
  return some > all / 2
}
//# sourceMappingURL=voters.js.map
