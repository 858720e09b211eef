"""A server on loopback that takes alerts as JSON, refuses them, or never answers."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhook:
    """What came, as dicts; ``wait`` for so many."""

    def __init__(self, status=200, hangs=False):
        self.messages, self.attempts = [], 0
        self.status, self.hangs = status, hangs
        self.changed = threading.Condition()
        self.ended = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with hook.changed:
                    hook.attempts += 1
                    if hook.status < 400 and not hook.hangs:
                        hook.messages.append(json.loads(body))
                    hook.changed.notify_all()
                if hook.hangs:
                    hook.ended.wait()
                    return
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"json://127.0.0.1:{self.server.server_port}/hook-Se3cretT0ken"

    def wait(self, count, seconds=10):
        """Until so many messages are here."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.messages) >= count, seconds)
        return self.messages

    def wait_for_attempts(self, count, seconds=10):
        with self.changed:
            assert self.changed.wait_for(lambda: self.attempts >= count, seconds)

    @property
    def titles(self):
        return [one["title"] for one in self.messages]

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
