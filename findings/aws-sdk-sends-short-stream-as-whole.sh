#!/bin/sh
# AWS SDK for JavaScript v3: a stream that ends before its ContentLength is uploaded as a whole object.
#
# @aws-sdk/client-s3 3.1175.0, Node.js 20.20.2, default options.
#
# With the default checksum a stream is sent as aws-chunked inside Transfer-Encoding: chunked, without a Content-Length,
# though the length was given. So nothing on the way counts the bytes: the closing chunk and the right checksum of the
# too short body follow. Only a server that compares x-amz-decoded-content-length can refuse it. The server here answers
# 200 to every request that is complete by the rules of HTTP.
#
#> 9 bytes promised, 5 given: resolved
#> content-length: none; x-amz-decoded-content-length: 9
#> body: 5|hello|0|x-amz-checksum-crc32:NhCmhg==||
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @aws-sdk/client-s3@3.1175.0
cat > show.mjs <<'EOF'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'

let headers
let body
const server = createServer(async (request, answer) => {
  headers = request.headers
  body = (await request.toArray()).join('').replaceAll('\r\n', '|')
  answer.end()
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const client = new S3Client({
  endpoint: `http://127.0.0.1:${server.address().port}`,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
})
const short = Readable.from([Buffer.from('hello')])
const put = new PutObjectCommand({ Bucket: 'bucket', Key: 'key', ContentLength: 9, Body: short })
const outcome = await client.send(put).then(() => 'resolved', (error) => `rejected with ${error.name}`)
console.log(`9 bytes promised, 5 given: ${outcome}`)
const decoded = headers['x-amz-decoded-content-length']
console.log(`content-length: ${headers['content-length'] ?? 'none'}; x-amz-decoded-content-length: ${decoded}`)
console.log(`body: ${body}`)
server.closeAllConnections()
server.close()
EOF
seen=$(NODE_NO_WARNINGS=1 timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
