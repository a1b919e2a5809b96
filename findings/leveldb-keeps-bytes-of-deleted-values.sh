#!/bin/sh
# LevelDB keeps the bytes of deleted values, also while as many bytes again are written under other keys.
#
# classic-level 3.0.0 (LevelDB 1.20 with patches), Node.js 20.20.2, Linux.
#
# A compaction begins when a level holds too many bytes. The markers of deleted entries hold next to none, so that an
# emptied database is left as it is: no rest helps, and no closing and opening. Puts of other keys begin compactions,
# but these need not come by the markers: here 184 MB of new values make it 368 MB, twice what can be read.
# compactRange() over the deleted keys gives their bytes back at once.
#
#> 60000 values of 3072 bytes put: files of 180 MB or more, 60000 entries
#> all deleted, after 10 s of rest: files of 180 MB or more, 0 entries
#> closed and opened: files of 180 MB or more, 0 entries
#> as many values put under other keys: files of 360 MB or more, 60000 entries
#> the deleted keys compacted: files of 180 MB or more, 60000 entries
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund classic-level@3.0.0
cat > show.mjs <<'EOF'
import { randomBytes } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { setTimeout as rest } from 'node:timers/promises'
import { ClassicLevel } from 'classic-level'

const db = new ClassicLevel('db', { valueEncoding: 'view' })
async function say(when) {
  const sizes = readdirSync('db').map((file) => statSync(`db/${file}`, { throwIfNoEntry: false })?.size ?? 0)
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  const entries = (await db.keys().all()).length
  console.log(`${when}: files of ${Math.floor(bytes / 30e6) * 30} MB or more, ${entries} entries`)
}
async function all(operation) {
  for (let i = 0; i < 60000; i += 500) {
    await db.batch(Array.from({ length: 500 }, (_, j) => operation(String(i + j).padStart(5, '0'))))
  }
  await rest(3000) // For compactions that have begun.
}

await all((key) => ({ type: 'put', key: `a${key}`, value: randomBytes(3072) }))
await say('60000 values of 3072 bytes put')
await all((key) => ({ type: 'del', key: `a${key}` }))
await rest(7000)
await say('all deleted, after 10 s of rest')
await db.close()
await db.open()
await say('closed and opened')
await all((key) => ({ type: 'put', key: `b${key}`, value: randomBytes(3072) }))
await say('as many values put under other keys')
await db.compactRange('a', 'b')
await say('the deleted keys compacted')
await db.close()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
