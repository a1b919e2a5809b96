#!/bin/sh
# spark-md5: a state that was saved gives a right digest at the first resumption and wrong ones afterwards.
#
# spark-md5 3.0.2, Node.js 20.20.2.
#
# getState() is there to resume an incremental digest. setState() keeps the array of the state and counts on in it, so that
# the second upload that goes on from the same place ends in another digest, without an error. (If the part before was
# no multiple of 64 bytes, SparkMD5.ArrayBuffer throws a TypeError instead.) A state that went through JSON is whole each time.
#
#> wanted: f1ef3b9926dad10a74e585be3d17508d
#> resumption 1: right, by JSON right
#> resumption 2: wrong, by JSON right
#> resumption 3: wrong, by JSON right
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund spark-md5@3.0.2
cat > show.mjs <<'EOF'
import { createHash } from 'node:crypto'
import SparkMD5 from 'spark-md5'

const first = new Uint8Array(1024).fill(1)
const second = new Uint8Array(1024).fill(2)
const wanted = createHash('md5').update(first).update(second).digest('hex')
const hasher = new SparkMD5.ArrayBuffer()
hasher.append(first)
const state = hasher.getState()
const json = JSON.stringify(state)

const resume = (from) => {
  const resumed = new SparkMD5.ArrayBuffer()
  resumed.setState(from)
  resumed.append(second)
  return resumed.end() === wanted ? 'right' : 'wrong'
}
console.log(`wanted: ${wanted}`)
for (const n of [1, 2, 3]) console.log(`resumption ${n}: ${resume(state)}, by JSON ${resume(JSON.parse(json))}`)
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
