"""A platform on Python's own HTTP servers: what it made of each request is its answer and a line of its output.

python.py careless PORT   keeps connections open, never reads the body of a GET, and answers HEAD as if it were one
python.py wsgi PORT       wsgiref, which tells an application headers as CGI variables
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import ThreadingMixIn
from urllib.parse import unquote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


def saw(*seen):
    os.write(1, f"SEEN {json.dumps(seen)}\n".encode())  # at once, as there are several threads


class Careless(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        path = unquote(self.path.partition("?")[0])
        saw(self.command, self.path, path, self.headers.items(), False)
        answer = self.path.encode("latin-1") + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def with_body(self):
        if self.headers["Transfer-Encoding"] is None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
        else:
            while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.answer()

    do_GET = do_HEAD = do_OPTIONS = do_DELETE = answer  # noqa: N815  # as http.server looks for them
    do_POST = do_PUT = do_PATCH = with_body  # noqa: N815  # the same

    def log_message(self, *_):
        pass


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


def application(environ, start_response):
    """`wsgiref` decodes the path and never says how it stood; chunked bodies it leaves unread."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = [(name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")]
    query = environ["QUERY_STRING"]
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    saw(environ["REQUEST_METHOD"], path + ("?" + query if query else ""), path, headers, False)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1") + b"\n"]


if sys.argv[1] == "careless":
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Careless).serve_forever()
else:
    make_server("127.0.0.1", int(sys.argv[2]), application, Threads, Quiet).serve_forever()
