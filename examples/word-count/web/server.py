"""The service: POST /jobs takes a text, GET /jobs/N tells the words in it."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wordcount import jobs


class Handler(BaseHTTPRequestHandler):
    """One request; each has a connection of its own to the database."""

    def do_GET(self):
        if self.path == "/":
            return self.answer(200, {"service": "word-count"})
        name, _, job = self.path.lstrip("/").partition("/")
        if name != "jobs" or not job.isdecimal():
            return self.answer(404, {"error": "no such page"})
        try:
            words = jobs.get(jobs.connect(), int(job))
        except KeyError:
            return self.answer(404, {"error": "no such job"})
        return self.answer(200, {"job": int(job), "words": words})

    def do_POST(self):
        if self.path != "/jobs":
            return self.answer(404, {"error": "no such page"})
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8", "replace")
        return self.answer(201, {"job": jobs.add(jobs.connect(), text)})

    def answer(self, status, value):
        """Send a value as JSON."""
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    jobs.connect()
    ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
