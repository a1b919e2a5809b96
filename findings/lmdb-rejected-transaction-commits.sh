#!/bin/sh
# lmdb: an asynchronous transaction whose callback throws rejects, and commits what it wrote before.
#
# lmdb 3.5.6, Node.js 20.20.2, Linux, default options.
#
# transaction() joins the callbacks of one turn into one write transaction of LMDB, so there is nothing that could be
# rolled back for one of them. Its rejection therefore does not mean "did not happen", and the constant ABORT does
# nothing in it. transactionSync() and childTransaction() do roll back.
#
#> transaction, throws: rejected, and its write is there: true
#> transaction, returns ABORT: resolved, and its write is there: true
#> childTransaction, throws: rejected, and its write is there: false
#> childTransaction, returns ABORT: resolved, and its write is there: false
#> transactionSync, throws: rejected, and its write is there: false
#> transactionSync, returns ABORT: resolved, and its write is there: false
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund lmdb@3.5.6
cat > show.mjs <<'EOF'
import { ABORT, open } from 'lmdb'

const db = open({ path: 'db' })
for (const kind of ['transaction', 'childTransaction', 'transactionSync']) {
  for (const [how, end] of [['throws', () => { throw new Error('no') }], ['returns ABORT', () => ABORT]]) {
    const key = `${kind} ${how}`
    const run = async () => db[kind](() => { db.put(key, 'written'); return end() })
    const outcome = await run().then(() => 'resolved', () => 'rejected')
    console.log(`${kind}, ${how}: ${outcome}, and its write is there: ${db.get(key) !== undefined}`)
  }
}
await db.close()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
