#!/bin/sh
# lmdb: the key -0 is another key than 0, sorts above every number, and reads back from a range as an array.
#
# lmdb 3.5.6 with its ordered-binary, Node.js 20.20.2.
#
# Number keys are packed so that their bytes sort as the numbers do. Those of -0 sort behind all numbers, and unpacking
# takes them for the key of an array. JavaScript makes -0 by itself: Math.round(-0.4), 0 * -1, -offset.
#
#> get(-0): "minus zero", get(0): "zero"
#> range: [-1,"minus one"] [0,"zero"] [1,"one"] [["\u0018",null],"minus zero"] ["a","text"]
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund lmdb@3.5.6
cat > show.mjs <<'EOF'
import { open } from 'lmdb'

const db = open({ path: 'db' })
const entries = [[-1, 'minus one'], [Math.round(-0.4), 'minus zero'], [0, 'zero'], [1, 'one'], ['a', 'text']]
for (const [key, value] of entries) await db.put(key, value)
console.log(`get(-0): ${JSON.stringify(db.get(-0))}, get(0): ${JSON.stringify(db.get(0))}`)
const range = [...db.getRange({})].map(({ key, value }) => JSON.stringify([key, value]))
console.log(`range: ${range.join(' ')}`)
await db.close()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
