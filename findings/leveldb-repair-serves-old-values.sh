#!/bin/sh
# LevelDB's repair of a sound database lets get() return overwritten and deleted entries, though iterators do not.
#
# classic-level 3.0.0 (LevelDB 1.20 with patches), Node.js 20.20.2, Linux.
#
# repair() moves every table to level 0. There get() asks the table with the highest file number first and believes it.
# File numbers follow the age of the entries only as long as nothing was compacted: a compaction of the levels below
# writes older entries into a table with a higher number. An iterator compares sequence numbers, so get() and the
# iterator of one snapshot contradict each other, until a compaction of that range puts it right.
#
#> before: get: new nothing; iterator: a=2 changed=new
#> after repair: get: old old; iterator: a=2 changed=new
#> after a compaction: get: new nothing; iterator: a=2 changed=new
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund classic-level@3.0.0
cat > show.mjs <<'EOF'
import { ClassicLevel } from 'classic-level'

const db = new ClassicLevel('db')
async function say(when) {
  const snapshot = db.snapshot()
  const got = await db.getMany(['changed', 'deleted'], { snapshot })
  const entries = await db.iterator({ snapshot }).all()
  await snapshot.close()
  const shown = (list) => list.map((item) => item ?? 'nothing').join(' ')
  console.log(`${when}: get: ${shown(got)}; iterator: ${shown(entries.map((entry) => entry.join('=')))}`)
}

await db.open()
await db.batch().put('a', '1').put('changed', 'oldest').put('deleted', 'oldest').write()
await db.compactRange('a', 'z')
await db.batch().put('a', '2').put('changed', 'old').put('deleted', 'old').write()
await db.compactRange('x', 'z') // Writes the memory table out.
await db.batch().put('changed', 'new').del('deleted').write()
await db.compactRange('a', 'b') // Writes the memory table out, then merges the two older tables.
await say('before')
await db.close()
await ClassicLevel.repair('db')
await db.open()
await say('after repair')
await db.compactRange('a', 'z')
await say('after a compaction')
await db.close()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
