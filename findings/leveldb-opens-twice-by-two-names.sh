#!/bin/sh
# LevelDB lets one process open a database twice if the two names of its directory are spelled differently.
#
# classic-level 3.0.0 (LevelDB 1.20 with patches), Node.js 20.20.2, Linux.
#
# The lock of the operating system guards against other processes alone. Within a process a list of names does, and
# the names are compared as they were given: `db` is refused the second time, `./db`, `db/`, the absolute path and a
# symbolic link are not. Then each of the two sees its own writes only, and acknowledges them, also with `sync: true`.
# The second has taken over the log and deleted it, and the first goes on writing into the deleted file: its writes are
# gone at the next open. Both also number their files alike. As soon as the first writes out a table, by compactRange()
# here, as any 4 MB of puts would, it overwrites the one that the second had made of the old log, and what was there
# before is lost.
#
#> opened again as db: LEVEL_LOCKED
#> opened again as ./db: open
#> opened again as db/: open
#> opened again by its absolute path: open
#> opened again by a symbolic link: open
#> puts acknowledged by first / second: 10 / 10
#> of them seen by first / second: 10 / 10
#> readable when both are closed and one is opened: 0 / 10; the value before: there
#> the same, but the first wrote out a table: 0 / 10; the value before: Corruption: not an sstable (bad magic number)
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund classic-level@3.0.0
cat > show.mjs <<'EOF'
import { mkdirSync, symlinkSync } from 'node:fs'
import { resolve } from 'node:path'
import { ClassicLevel } from 'classic-level'

async function openAgain(folder, as, name) {
  mkdirSync(folder)
  process.chdir(folder)
  const first = new ClassicLevel('db')
  await first.open()
  symlinkSync('db', 'link')
  const second = new ClassicLevel(name())
  console.log(`opened again ${as}: ${await second.open().then(() => second.status, (error) => error.cause.code)}`)
  await second.close()
  await first.close()
  process.chdir('..')
}

async function writeThroughBoth(name, writeOut) {
  const first = new ClassicLevel(name)
  await first.put('before', 'value', { sync: true })
  const second = new ClassicLevel(`./${name}`)
  await second.open()
  const keys = (prefix) => Array.from({ length: 10 }, (_, i) => `${prefix}${i}`)
  const put = async (db, prefix) => {
    let acknowledged = 0
    for (const key of keys(prefix)) await db.put(key, 'value', { sync: true }).then(() => acknowledged++)
    return acknowledged
  }
  const readable = async (db, prefix) =>
    (await db.getMany(keys(prefix))).filter((value) => value !== undefined).length
  const acknowledged = `${await put(first, 'first')} / ${await put(second, 'second')}`
  const seen = `${await readable(first, 'first')} / ${await readable(second, 'second')}`
  if (writeOut) await first.compactRange('a', 'z')
  await second.close()
  await first.close()
  const db = new ClassicLevel(name)
  const again = `${await readable(db, 'first')} / ${await readable(db, 'second')}`
  const before = await db.get('before').then((value) => (value === 'value' ? 'there' : value), (error) => error.message)
  await db.close()
  return { acknowledged, seen, again: `${again}; the value before: ${before}` }
}

await openAgain('1', 'as db', () => 'db')
await openAgain('2', 'as ./db', () => './db')
await openAgain('3', 'as db/', () => 'db/')
await openAgain('4', 'by its absolute path', () => resolve('db'))
await openAgain('5', 'by a symbolic link', () => 'link')
const plain = await writeThroughBoth('plain', false)
console.log(`puts acknowledged by first / second: ${plain.acknowledged}`)
console.log(`of them seen by first / second: ${plain.seen}`)
console.log(`readable when both are closed and one is opened: ${plain.again}`)
console.log(`the same, but the first wrote out a table: ${(await writeThroughBoth('written', true)).again}`)
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
