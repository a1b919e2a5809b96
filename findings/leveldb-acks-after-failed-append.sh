#!/bin/sh
# After one failed write LevelDB acknowledges writes that it cannot read again.
#
# classic-level 3.0.0 (LevelDB 1.20 with patches), Node.js 20.20.2, Linux.
#
# A write that finds no room leaves half a record in the write-ahead log and rejects, as it should. But the log goes on
# as if the whole record were there. When there is room again, every put is acknowledged, also with `sync: true`, and
# can be read. The next open takes the torn block for damage, ignores the error, and all writes since the failed one are
# gone. Only closing and opening at once after the failure is safe: it begins a new log. A limit on the size of files
# (prlimit of util-linux) stands for the full disk here.
#
#> a put of 5000 bytes fails: LEVEL_IO_ERROR
#> puts acknowledged before / after it: 7 / 20
#> readable before the database is closed: 7 / 20
#> readable after it is opened again: 7 / 0
#> the same, but opened again at once after the failure: 7 / 20
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
command -v prlimit > /dev/null || { echo 'this finding needs prlimit of util-linux'; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund classic-level@3.0.0
cat > show.mjs <<'EOF'
import { execFileSync } from 'node:child_process'
import { ClassicLevel } from 'classic-level'

const limitFiles = (bytes) =>
  execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:unlimited`])

async function run(name, reopenAtOnce) {
  const db = new ClassicLevel(name)
  await db.open()
  const put = (key) =>
    db.put(key, 'x'.repeat(5000), { sync: true }).then(() => true, (error) => error.code)
  const readable = async (keys) => (await db.getMany(keys)).filter((value) => value !== undefined).length
  const before = []
  const after = []
  let failure
  limitFiles(40000)
  for (let i = 0; failure === undefined; i++) {
    const outcome = await put(`before${i}`)
    if (outcome === true) before.push(`before${i}`)
    else failure = outcome
  }
  limitFiles('unlimited')
  if (reopenAtOnce) {
    await db.close()
    await db.open()
  }
  for (let i = 0; i < 20; i++) if ((await put(`after${i}`)) === true) after.push(`after${i}`)
  const live = [await readable(before), await readable(after)]
  await db.close()
  await db.open()
  const again = [await readable(before), await readable(after)]
  await db.close()
  return { failure, acknowledged: [before.length, after.length], live, again }
}

const seen = await run('going-on', false)
console.log(`a put of 5000 bytes fails: ${seen.failure}`)
console.log(`puts acknowledged before / after it: ${seen.acknowledged.join(' / ')}`)
console.log(`readable before the database is closed: ${seen.live.join(' / ')}`)
console.log(`readable after it is opened again: ${seen.again.join(' / ')}`)
const careful = await run('reopened', true)
console.log(`the same, but opened again at once after the failure: ${careful.again.join(' / ')}`)
EOF
seen=$(timeout 50 node show.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
