#!/bin/sh
# LevelDB takes a directory that lacks one small file for a new database and deletes the data in it.
#
# classic-level 3.0.0 (LevelDB 1.20 with patches), Node.js 20.20.2, Linux.
#
# CURRENT holds one line: the name of the manifest. An open that does not find it, as in a copy that was not complete,
# finds "no database", makes an empty one and, as housekeeping, deletes every table that the new, empty manifest does
# not name. With `createIfMissing: false` the open rejects and the tables stay: putting CURRENT back is enough then.
#
#> without CURRENT, createIfMissing false: rejected; tables: 1
#> CURRENT put back: 1000 entries
#> without CURRENT, default options: opened; tables: 0
#> entries: 0
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund classic-level@3.0.0
cat > show.mjs <<'EOF'
import { readdirSync, renameSync } from 'node:fs'
import { ClassicLevel } from 'classic-level'

const db = new ClassicLevel('db')
const tables = () => readdirSync('db').filter((file) => file.endsWith('.ldb')).length
const count = async () => (await db.keys().all()).length
const open = (options) => db.open(options).then(() => 'opened', () => 'rejected')

for (let i = 0; i < 1000; i++) await db.put(`key${i}`, 'value')
await db.compactRange('a', 'z')
await db.close()
renameSync('db/CURRENT', 'kept')
console.log(`without CURRENT, createIfMissing false: ${await open({ createIfMissing: false })}; tables: ${tables()}`)
renameSync('kept', 'db/CURRENT')
await open({ createIfMissing: false })
console.log(`CURRENT put back: ${await count()} entries`)
await db.close()
renameSync('db/CURRENT', 'kept')
console.log(`without CURRENT, default options: ${await open({})}; tables: ${tables()}`)
console.log(`entries: ${await count()}`)
await db.close()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
