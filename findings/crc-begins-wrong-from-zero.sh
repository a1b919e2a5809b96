#!/bin/sh
# crc: crc32(bytes, previous) with a previous value of 0 is not the CRC-32 of the bytes.
#
# crc 4.3.2, Node.js 20.20.2 and its zlib, which agrees with all other CRC-32 functions here.
#
# The CRC of no bytes is 0, and a loop over chunks usually begins with it. The package gives that value a meaning of its
# own: the whole result is another one. Without a second argument, and with every other previous value, it is right. So a
# loop is also wrong when its first chunk is empty.
#
#> zlib in one call: 414fa339
#> crc in one call: 414fa339
#> crc over chunks, from nothing: 414fa339
#> crc over chunks, from 0: 4639f7f7
#> crc over chunks, the first of them empty: 4639f7f7
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund crc@4.3.2
cat > show.mjs <<'EOF'
import { crc32 } from 'crc'

const hex = (value) => (value >>> 0).toString(16)
const text = 'The quick brown fox jumps over the lazy dog'
const chunks = [text.slice(0, 20), text.slice(20)].map((part) => Buffer.from(part))
const over = (parts, from) => hex(parts.reduce((previous, part) => crc32(part, previous), from))

const { crc32: reference } = await import('node:zlib')
console.log(`zlib in one call: ${hex(reference(text))}`)
console.log(`crc in one call: ${hex(crc32(Buffer.from(text)))}`)
console.log(`crc over chunks, from nothing: ${over(chunks, undefined)}`)
console.log(`crc over chunks, from 0: ${over(chunks, 0)}`)
console.log(`crc over chunks, the first of them empty: ${over([Buffer.alloc(0), ...chunks], undefined)}`)
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
