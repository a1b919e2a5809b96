#!/bin/sh
# minio-py takes a failed CompleteMultipartUpload for success: put_object returns, and there is no object.
#
# minio 7.2.20 of PyPI, Python 3.11.
#
# S3 may answer CompleteMultipartUpload with 200, begin the document while it still works, and only then find out that
# it failed: the body is then an <Error>. S3's documentation asks clients to look. minio-py parses the body as a result,
# finds none of its elements and returns a result whose fields are all None. Small bodies (one PUT) are not concerned.
#
#> put_object of 11 MiB returned; bucket None, key None, etag None
set -eu
recorded=$(sed -n 's/^#> //p' "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check minio==7.2.20
cat > show.py <<'EOF'
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread

from minio import Minio

CREATED = b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>"
FAILED = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b"" if self.command == "PUT" else CREATED if "uploads" in self.path else FAILED
        self.send_response(200)
        self.send_header("ETag", '"part"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    do_PUT = do_POST = answer


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
client = Minio(
    f"127.0.0.1:{server.server_port}", access_key="key", secret_key="secret", secure=False, region="us-east-1"
)
size = 11 << 20
try:
    result = client.put_object("bucket", "key", BytesIO(bytes(size)), size, part_size=5 << 20)
    print(f"put_object of 11 MiB returned; bucket {result.bucket_name}, key {result.object_name}, etag {result.etag}")
except Exception as error:
    print(f"put_object of 11 MiB raised {type(error).__name__}")
EOF
seen=$(timeout 50 python/bin/python show.py)
printf '%s\n' "$seen"
[ "$seen" = "$recorded" ] || { printf 'CHANGED. Recorded was:\n%s\n' "$recorded"; exit 1; }
echo 'as recorded'
