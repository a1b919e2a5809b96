#!/bin/sh
# abstract-level: open() that demands an existing database resolves on a new, empty one when an await came before it.
#
# abstract-level 3.1.1 and classic-level 3.0.0, Node.js 20.20.2.
#
# The constructor has the database opened in the next tick with its own options. An open() called later waits for that
# opening and resolves: its own options, guards such as createIfMissing and errorIfExists among them, are dropped
# without a word. So the guard belongs into the constructor, or no await may stand between the two.
#
#> createIfMissing false, in the turn of the constructor: rejected
#> createIfMissing false, one await later: open
#> errorIfExists true, in the turn of the constructor: rejected
#> errorIfExists true, one await later: open
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund classic-level@3.0.0 abstract-level@3.1.1
cat > show.mjs <<'EOF'
import { ClassicLevel } from 'classic-level'

async function sameTurn(name, options) {
  const db = new ClassicLevel(name)
  return await outcome(db, options)
}
async function oneAwaitLater(name, options) {
  const db = new ClassicLevel(name)
  await undefined
  return await outcome(db, options)
}
async function outcome(db, options) {
  const status = await db.open(options).then(() => db.status, () => 'rejected')
  await db.close()
  return status
}

const missing = { createIfMissing: false }
console.log(`createIfMissing false, in the turn of the constructor: ${await sameTurn('a', missing)}`)
console.log(`createIfMissing false, one await later: ${await oneAwaitLater('b', missing)}`)
const exists = { errorIfExists: true } // The database b exists since the line before.
console.log(`errorIfExists true, in the turn of the constructor: ${await sameTurn('b', exists)}`)
console.log(`errorIfExists true, one await later: ${await oneAwaitLater('b', exists)}`)
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
