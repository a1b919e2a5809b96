#!/bin/sh
# obstore: a `with` block that fails leaves half an object as a whole one through obstore.fsspec, and none through
# obstore.open_writer.
#
# obstore 0.12.1 with fsspec 2026.9.0, Python 3.11.
#
# Both write to the same kind of store, in memory here. The writer of the package gives up what was written when the block
# raises. The file of its fsspec adapter is closed like a finished one: the object that was there before is replaced.
#
#> open_writer, a new key: absent
#> open_writer, an old key: the whole old object
#> fsspec, a new key: half of the new
#> fsspec, an old key: half of the new
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
command -v python3 > /dev/null || { echo 'needs python3'; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
./env/bin/pip install --quiet --disable-pip-version-check obstore==0.12.1 fsspec==2026.9.0
cat > show.py <<'EOF'
import obstore
from obstore.fsspec import FsspecStore
from obstore.store import MemoryStore

store = MemoryStore()
files = FsspecStore('memory')


def shown(read):
    try:
        return bytes(read()).decode()
    except FileNotFoundError:
        return 'absent'


def fails(opened):
    try:
        with opened as out:
            out.write(b'half of the new')
            raise ConnectionError('the source broke off')
    except ConnectionError:
        pass


obstore.put(store, 'old', b'the whole old object')
files.pipe_file('memory:///old', b'the whole old object')
for key in ['new', 'old']:
    fails(obstore.open_writer(store, key))
    fails(files.open(f'memory:///{key}', 'wb'))
name = {'new': 'a new key', 'old': 'an old key'}
for key in ['new', 'old']:
    print(f'open_writer, {name[key]}:', shown(lambda: obstore.get(store, key).bytes()))
for key in ['new', 'old']:
    print(f'fsspec, {name[key]}:', shown(lambda: files.cat_file(f'memory:///{key}')))
EOF
seen=$(timeout 50 ./env/bin/python show.py)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
