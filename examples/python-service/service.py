"""A counter behind HTTP: GET / shows it, POST / adds one."""

import os

from flask import Flask, jsonify, request

app = Flask(__name__)
count = 0


@app.route("/", methods=["GET", "POST"])
def counter():
    """The counter as JSON."""
    global count
    if request.method == "POST":
        count += 1
    return jsonify(count=count, user=os.getuid())


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ["PORT"]))
