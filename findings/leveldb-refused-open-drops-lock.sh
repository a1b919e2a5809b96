#!/bin/sh
# A second open that LevelDB refuses takes the lock from the first: another process can open the database then.
#
# classic-level 3.0.0 (LevelDB 1.20 with patches), Node.js 20.20.2, Linux.
#
# The lock is one of fcntl(), and a process loses such a lock as soon as it closes any descriptor of the file. LevelDB
# opens the file LOCK first, then finds that its own process holds the database, closes LOCK and rejects, as it should,
# with LEVEL_LOCKED. The database that is open goes on without a lock. The same happens if the process reads LOCK
# itself, as a copy of the directory does. The other process takes over the log and deletes it: what is written here
# afterwards is acknowledged, also with `sync: true`, can be read, and is gone at the next open.
#
#> another process opens it: LEVEL_LOCKED
#> puts acknowledged then: 10, readable at once: 10, after the next open: 10
#> a second open here: LEVEL_LOCKED; another process opens it: open
#> puts acknowledged then: 10, readable at once: 10, after the next open: 0
#> a copy of the directory made here: done; another process opens it: open
#> puts acknowledged then: 10, readable at once: 10, after the next open: 0
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund classic-level@3.0.0
cat > other.mjs <<'EOF'
import { ClassicLevel } from 'classic-level'

const db = new ClassicLevel(process.argv[2])
console.log(await db.open().then(() => db.status, (error) => error.cause.code))
await db.close()
EOF
cat > show.mjs <<'EOF'
import { execFileSync } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { ClassicLevel } from 'classic-level'

async function run(name, before) {
  const db = new ClassicLevel(name)
  await db.open()
  const said = await before()
  const other = execFileSync(process.execPath, ['other.mjs', name], { encoding: 'utf8' }).trim()
  console.log(`${said}another process opens it: ${other}`)
  let acknowledged = 0
  for (let i = 0; i < 10; i++) await db.put(`key${i}`, 'value', { sync: true }).then(() => acknowledged++)
  const readable = async () => (await db.keys().all()).length
  const atOnce = await readable()
  await db.close()
  await db.open()
  const again = await readable()
  console.log(`puts acknowledged then: ${acknowledged}, readable at once: ${atOnce}, after the next open: ${again}`)
  await db.close()
}

await run('untouched', () => '')
await run('refused', async () => {
  const second = new ClassicLevel('refused')
  return `a second open here: ${await second.open().then(() => second.status, (error) => error.cause.code)}; `
})
await run('copied', async () => {
  await cp('copied', 'copy', { recursive: true })
  return 'a copy of the directory made here: done; '
})
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
