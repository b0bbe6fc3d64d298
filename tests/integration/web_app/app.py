"""The smallest web service that is still a real one."""

import os

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/")
def index():
    """Who answers, and as which user."""
    return jsonify(message="hello from a pywerf image", uid=os.getuid(), cwd=os.getcwd())


@app.get("/health")
def health():
    """For the HEALTHCHECK."""
    return "ok"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
