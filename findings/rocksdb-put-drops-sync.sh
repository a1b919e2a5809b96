#!/bin/sh
# @nxtedition/rocksdb: put and del take the option sync and do not keep it; batch keeps it.
#
# @nxtedition/rocksdb 12.2.12, Node.js 20.20.2, Linux; needs strace.
#
# An abstract-level database says nothing about sync in its manifest, and no read can tell. Counted are the calls of
# fdatasync and fsync of a process that makes 20 writes, less those of a process that only opens and closes.
#
#> 20 put with sync: 0 flushes
#> 20 del with sync: 0 flushes
#> 20 batch of one put with sync: 20 flushes
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
command -v strace > /dev/null || { echo 'this finding needs strace'; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @nxtedition/rocksdb@12.2.12
cat > show.mjs <<'EOF'
import { createRequire } from 'node:module'

const { RocksLevel } = createRequire(import.meta.url)('@nxtedition/rocksdb')
const kind = process.argv[2]
const db = new RocksLevel(kind)
await db.open()
for (let i = 0; i < 20; i++) {
  const key = `key${i}`
  if (kind === 'put') await db.put(key, 'value', { sync: true })
  if (kind === 'del') await db.del(key, { sync: true })
  if (kind === 'batch') await db.batch([{ type: 'put', key, value: 'value' }], { sync: true })
}
await db.close()
EOF
flushes() {
  timeout 20 strace -f -qq -e trace=fdatasync,fsync -e signal=none -o "trace.$1" node show.mjs "$1"
  grep -c -E '(fdatasync|fsync)\(' "trace.$1"
}
none=$(flushes none)
put=$(flushes put)
del=$(flushes del)
batch=$(flushes batch)
seen="20 put with sync: $((put - none)) flushes
20 del with sync: $((del - none)) flushes
20 batch of one put with sync: $((batch - none)) flushes"
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
