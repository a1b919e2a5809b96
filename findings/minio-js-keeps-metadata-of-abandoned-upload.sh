#!/bin/sh
# minio-js: putObject of a stream takes up an unfinished upload of that key, and the object gets that one's metadata.
#
# minio 8.0.7 of npm, Node.js 20.20.2.
#
# Before it uploads a stream in parts, the client lists the unfinished uploads of the key and goes on with the newest,
# whoever began it. Metadata, content type and storage class belong to the request that begins an upload, and that
# request is left out then. So what a crashed process meant for its object is what the next, different one gets.
#
#> first put, its last part is refused: rejected
#> second put: resolved, x-amz-meta-owner of the object: first
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund minio@8.0.7
cat > show.mjs <<'EOF'
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { Client } from 'minio'

const blockBytes = 5 * 1024 * 1024
const md5 = (bytes) => createHash('md5').update(bytes).digest('hex')

// Of S3 as much as these uploads need: one upload of one key, in memory.
let upload
let object
let refusedPart
const server = createServer(async (request, answer) => {
  const body = Buffer.concat(await request.toArray())
  const query = new URL(request.url, 'http://localhost').searchParams
  const part = query.get('partNumber')
  if (query.has('location')) answer.end('<LocationConstraint/>')
  else if (request.method === 'GET' && query.has('uploads')) {
    const open = upload ? `<Upload><Key>key</Key><UploadId>one</UploadId></Upload>` : ''
    answer.end(`<ListMultipartUploadsResult>${open}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>`)
  } else if (request.method === 'GET') {
    const parts = [...upload.parts].map(
      ([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>"${etag}"</ETag></Part>`,
    )
    answer.end(`<ListPartsResult>${parts.join('')}<IsTruncated>false</IsTruncated></ListPartsResult>`)
  } else if (part !== null && part === refusedPart) {
    answer.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
  } else if (request.method === 'PUT') {
    upload.parts.set(part, md5(body))
    answer.setHeader('etag', `"${md5(body)}"`).end()
  } else if (query.has('uploads')) {
    upload = { owner: request.headers['x-amz-meta-owner'], parts: new Map() }
    answer.end('<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>')
  } else {
    object = { owner: upload.owner }
    upload = undefined
    answer.end('<CompleteMultipartUploadResult><Location>/</Location><ETag>"e"</ETag></CompleteMultipartUploadResult>')
  }
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const client = new Client({
  endPoint: '127.0.0.1',
  port: server.address().port,
  useSSL: false,
  accessKey: 'key',
  secretKey: 'secret',
  partSize: blockBytes,
})

async function put(owner, stream) {
  const sent = client.putObject('bucket', 'key', Readable.from(stream), 3 * blockBytes, { 'x-amz-meta-owner': owner })
  return await sent.then(() => 'resolved', () => 'rejected')
}
const blocks = (bytes) => [...bytes].flatMap((byte) => Array(80).fill(Buffer.alloc(blockBytes / 80, byte)))
refusedPart = '4'
console.log(`first put, its last part is refused: ${await put('first', blocks('abc'))}`)
refusedPart = undefined
const outcome = await put('second', blocks('def'))
console.log(`second put: ${outcome}, x-amz-meta-owner of the object: ${object?.owner}`)
server.closeAllConnections()
server.close()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
