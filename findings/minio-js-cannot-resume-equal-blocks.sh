#!/bin/sh
# minio-js: a broken upload of a stream whose blocks are alike can never be finished by trying again.
#
# minio 8.0.7 of npm, Node.js 20.20.2.
#
# Parts of a stream are numbered from 2 when they are sent. When an unfinished upload is taken up, they are compared
# from 1 with those that are there already. So nothing that was sent is found again, unless neighbouring blocks are
# equal, as in sparse images. Then one number is used for two blocks, S3 refuses the list of parts (its numbers must
# rise), the upload stays, and the next try takes it up once more.
#
#> undisturbed: parts 2 3 4: resolved
#> its last part is refused: AccessDenied
#> tried again: parts 2 2 3: InvalidPartOrder
#> tried again: parts 2 2 3: InvalidPartOrder
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
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)/g)].map((match) => Number(match[1]))
    object = numbers.join(' ')
    if (numbers.some((number, i) => i > 0 && number <= numbers[i - 1])) {
      answer.writeHead(400).end('<Error><Code>InvalidPartOrder</Code></Error>')
      return
    }
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

const zeros = Array(240).fill(Buffer.alloc(blockBytes / 80))
async function put() {
  const sent = client.putObject('bucket', 'key', Readable.from(zeros), 3 * blockBytes)
  return await sent.then(() => 'resolved', (error) => error.code)
}
const whole = await put()
console.log(`undisturbed: parts ${object}: ${whole}`)
refusedPart = '4'
console.log(`its last part is refused: ${await put()}`)
refusedPart = undefined
for (let i = 0; i < 2; i++) {
  const outcome = await put()
  console.log(`tried again: parts ${object}: ${outcome}`)
}
server.closeAllConnections()
server.close()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
