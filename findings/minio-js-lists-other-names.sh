#!/bin/sh
# minio-js: listObjectsV2 hands out other names for keys that look like numbers; listObjects hands out the right ones.
#
# minio 8.0.7 of npm, Node.js 20.20.2.
#
# The parser of the answer's XML turns text that looks like a number into one, and the client turns it back into text:
# leading zeros, trailing zeros and hexadecimal are gone by then. A get of the listed name finds nothing, or another
# object, and so does all that goes by a listing: mirrors, clean-ups. Values of tags come as numbers in the same way.
# The older listObjects parses with other options.
#
#> stored: 0042 0x10 1.50 12345678901234567890 v7
#> listObjects: 0042 0x10 1.50 12345678901234567890 v7
#> listObjectsV2: 42 16 1.5 12345678901234567890 v7
#> tag "1.10": 1.1
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund minio@8.0.7
cat > show.mjs <<'EOF'
import { createServer } from 'node:http'
import { Client } from 'minio'

const stored = ['0042', '0x10', '1.50', '12345678901234567890', 'v7']
const facts = '<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"e"</ETag><Size>1</Size>'
const object = (key) => `<Contents><Key>${key}</Key>${facts}</Contents>`
const tags = '<Tagging><TagSet><Tag><Key>version</Key><Value>1.10</Value></Tag></TagSet></Tagging>'
const list = `<ListBucketResult><IsTruncated>false</IsTruncated>${stored.map(object).join('')}</ListBucketResult>`
const server = createServer((request, answer) => {
  if (request.url.includes('?location')) answer.end('<LocationConstraint/>')
  else answer.end(request.url.includes('?tagging') ? tags : list)
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address()
const client = new Client({ endPoint: '127.0.0.1', port, useSSL: false, accessKey: 'key', secretKey: 'secret' })
console.log(`stored: ${stored.join(' ')}`)
for (const method of ['listObjects', 'listObjectsV2']) {
  const names = []
  for await (const { name } of client[method]('bucket', '', true)) names.push(name)
  console.log(`${method}: ${names.join(' ')}`)
}
const [tag] = await client.getObjectTagging('bucket', 'v7')
console.log(`tag "1.10": ${JSON.stringify(tag.Value)}`)
server.closeAllConnections()
server.close()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
