#!/bin/sh
# unstorage: the S3 driver takes the first page of a listing for the whole bucket.
#
# unstorage 1.17.6 with aws4fetch 1.0.20, Node.js 20.20.2.
#
# A server answers at most 1000 keys and says that there are more. The driver never asks for the rest: getKeys() answers
# 1000 keys, and clear() resolves while the others stay. Single keys behind the first page are read as usual.
#
#> stored: 2500
#> getKeys(): 1000, the last one is key:0999
#> hasItem('key:1000'): true
#> after clear(): 1500 in the bucket
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund unstorage@1.17.6 aws4fetch@1.0.20
cat > show.mjs <<'EOF'
import { createServer } from 'node:http'
import { createStorage } from 'unstorage'
import s3 from 'unstorage/drivers/s3'

/** A bucket with what the driver asks of S3: PUT, HEAD, POST ?delete, and a list in pages of 1000 keys. */
const objects = new Map()
const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost')
  const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'))
  let body = ''
  for await (const chunk of request) body += chunk
  if (request.method === 'PUT') return response.end(void objects.set(key, body))
  if (request.method === 'HEAD') return response.writeHead(objects.has(key) ? 200 : 404).end()
  if (request.method === 'POST' && url.searchParams.has('delete')) {
    for (const [, name] of body.matchAll(/<Key>(.*?)<\/Key>/g)) objects.delete(name)
    return response.end('<?xml version="1.0"?><DeleteResult></DeleteResult>')
  }
  const after = url.searchParams.get('marker') ?? url.searchParams.get('continuation-token') ?? ''
  const names = [...objects.keys()].sort().filter((name) => name > after)
  const page = names.slice(0, 1000)
  const more = names.length > page.length
  response.end(
    `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated>` +
      (more ? `<NextMarker>${page.at(-1)}</NextMarker>` : '') +
      (more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '') +
      page.map((name) => `<Contents><Key>${name}</Key></Contents>`).join('') +
      '</ListBucketResult>'
  )
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const endpoint = `http://127.0.0.1:${server.address().port}`
const storage = createStorage({ driver: s3({ endpoint, bucket: 'b', region: 'r', accessKeyId: 'a', secretAccessKey: 's' }) })

for (let i = 0; i < 2500; i++) await storage.setItem(`key:${String(i).padStart(4, '0')}`, 'value')
console.log(`stored: ${objects.size}`)
const keys = (await storage.getKeys()).sort()
console.log(`getKeys(): ${keys.length}, the last one is ${keys.at(-1)}`)
console.log(`hasItem('key:1000'): ${await storage.hasItem('key:1000')}`)
await storage.clear()
console.log(`after clear(): ${objects.size} in the bucket`)
server.close()
server.closeAllConnections()
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
