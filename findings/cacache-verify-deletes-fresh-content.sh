#!/bin/sh
# cacache: content whose put() has resolved is deleted by a verify() that runs at the same time.
#
# cacache 20.0.4, Node.js 20.20.2.
#
# The manual calls the cache lockless with highly concurrent access. verify() reads the index first and the content
# afterwards, and removes content that the index did not name, however young it is. Later reads of such keys reject with
# ENOENT. Some puts reject as well, since verify() removes the folder of files that are being written.
#
#> 4 rounds of 300 puts beside verify()
#> puts that resolved and whose key cannot be read afterwards: some
#> of as many puts without verify(): none
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund cacache@20.0.4
cat > show.mjs <<'EOF'
import cacache from 'cacache'

const rounds = 4
const puts = 300

/** Writes `puts` keys in a new cache; resolves to the number of those that resolved and cannot be read when all is still. */
async function lostPuts(cache, verifies) {
  let over = false
  const verifier = (async () => {
    while (verifies && !over) await cacache.verify(cache)
  })()
  const resolved = []
  for (let i = 0; i < puts; i++) {
    await cacache.put(cache, `key ${i}`, `value ${i}`).then(() => resolved.push(i), () => {})
  }
  over = true
  await verifier
  let lost = 0
  for (const i of resolved) {
    const found = await cacache.get(cache, `key ${i}`, { memoize: false }).catch((error) => error.code)
    if (found === 'ENOENT') lost++
  }
  return lost
}

console.log(`${rounds} rounds of ${puts} puts beside verify()`)
for (const [verifies, text] of [
  [true, 'puts that resolved and whose key cannot be read afterwards'],
  [false, 'of as many puts without verify()']
]) {
  let lost = 0
  for (let round = 0; round < rounds; round++) lost += await lostPuts(`cache-${verifies}-${round}`, verifies)
  console.log(`${text}: ${lost > 0 ? 'some' : 'none'}`)
}
EOF
seen=$(timeout 120 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
