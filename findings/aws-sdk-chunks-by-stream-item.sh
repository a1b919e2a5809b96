#!/bin/sh
# AWS SDK for JavaScript v3: a stream of one-byte items grows to 21 times its size on the wire.
#
# @aws-sdk/client-s3 3.1175.0, Node.js 20.20.2, default options.
#
# Every item of a body's stream becomes one aws-chunk, however small, and the size line, the data and the line end of
# that chunk become one HTTP chunk each. Nothing gathers them on the way, though ContentLength is given. So a stream of
# small items (lines, records, a parser's output) costs the server two nested framings per item. A stream of a file
# shows nothing of it: its items are 64 KiB. Counted is what the connection carries after the head, for 4096 bytes.
#
#> items of 4096 bytes: 1 pieces of data, 4179 bytes on the wire
#> items of 64 bytes: 64 pieces of data, 5561 bytes on the wire
#> items of 1 bytes: 4096 pieces of data, 86073 bytes on the wire
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @aws-sdk/client-s3@3.1175.0
cat > show.mjs <<'EOF'
import { createServer } from 'node:net'
import { Readable } from 'node:stream'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'

let received = ''
const server = createServer((socket) => {
  socket.setEncoding('latin1')
  socket.on('data', (text) => {
    received += text
    const isWhole = /x-amz-checksum-crc32:\S+\r\n[^]*\r\n0\r\n\r\n$/.test(received)
    if (isWhole) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
for (const itemBytes of [4096, 64, 1]) {
  received = ''
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${server.address().port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
  })
  const items = Array.from({ length: 4096 / itemBytes }, () => Buffer.alloc(itemBytes, '~'))
  const Body = Readable.from(items)
  await client.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'key', ContentLength: 4096, Body }))
  client.destroy()
  const body = received.slice(received.indexOf('\r\n\r\n') + 4)
  const chunks = body.match(/~+/g).length
  console.log(`items of ${itemBytes} bytes: ${chunks} pieces of data, ${body.length} bytes on the wire`)
}
server.close()
EOF
seen=$(NODE_NO_WARNINGS=1 timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
