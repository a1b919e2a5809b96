#!/bin/sh
# LevelDB: gets of keys that are not there make it merge and rewrite tables, on a database that nobody writes to.
#
# classic-level 3.0.0 (LevelDB 1.20), Node.js 20.20.2.
#
# Each get that has to look into a second table is charged to the first one, and a table of 2 MB is allowed about 128 of
# those; then it is merged into the next level. The Bloom filters, which classic-level always has, spare reading the
# blocks, but not the charge. So whoever asks for a key before it is put for the first time (to see that nothing is there)
# has LevelDB write each part of the database several times more than the puts alone would. Where all tables lie in one
# level no get looks into a second one, and nothing happens. There is no option against it.
#
#> in one level: 40000 gets of absent keys, 0 merges, 0 MB written
#> in two levels, before: 2 s without a merge
#> in two levels: 40000 gets of absent keys, merges: yes, more than 3 MB written: yes
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund classic-level@3.0.0
cat > show.mjs <<'EOF'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ClassicLevel } from 'classic-level'

const GETS = 40_000
const key = (n) => createHash('sha1').update(`${n}`).digest('hex')
const value = (n) => createHash('sha512').update(`${n}`).digest('hex')
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function fill(db, from, to) {
  for (let at = from; at < to; at += 1000) {
    const each = (_, n) => ({ type: 'put', key: key(at + n), value: value(at + n) })
    await db.batch(Array.from({ length: 1000 }, each))
  }
}

// What LevelDB says in its own log of the merges that it has made.
function merges(name) {
  const made = [...readFileSync(`${name}/LOG`, 'utf8').matchAll(/Compacted .* => (\d+) bytes/g)]
  return { count: made.length, bytes: made.reduce((sum, [, bytes]) => sum + Number(bytes), 0) }
}

// 100,000 entries in one level, and as many more on top as are wanted; opened again, so that its log begins anew.
async function opened(name, later) {
  const filling = new ClassicLevel(name, { writeBufferSize: 1024 * 1024 })
  await fill(filling, 0, 100_000)
  await filling.compactRange('0', 'g')
  await fill(filling, 100_000, 100_000 + later)
  await filling.close()
  const db = new ClassicLevel(name)
  await db.open()
  await sleep(2000)
  return db
}

async function afterGets(db, name) {
  const before = merges(name)
  for (let n = 1; n <= GETS; n++) if ((await db.get(key(-n))) !== undefined) throw new Error('it is there')
  await sleep(2000)
  const { count, bytes } = merges(name)
  await db.close()
  return { count: count - before.count, megabytes: Math.floor((bytes - before.bytes) / 1e6) }
}

const one = await afterGets(await opened('one', 0), 'one')
console.log(`in one level: ${GETS} gets of absent keys, ${one.count} merges, ${one.megabytes} MB written`)
const db = await opened('two', 20_000)
const atFirst = merges('two').count
await sleep(2000)
console.log(`in two levels, before: ${merges('two').count === atFirst ? '2 s without a merge' : 'it merges by itself'}`)
const two = await afterGets(db, 'two')
const yes = (is) => (is ? 'yes' : 'no')
console.log(
  `in two levels: ${GETS} gets of absent keys, merges: ${yes(two.count > 0)}, more than 3 MB written: ${yes(two.megabytes >= 3)}`,
)
EOF
seen=$(timeout 110 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
