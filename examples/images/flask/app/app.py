"""A guest book in Flask: an ordinary WSGI application, which gunicorn serves."""

import os
from threading import Lock

from flask import Flask, jsonify, redirect, render_template, request, url_for

app = Flask(__name__)
guests: list[str] = []
lock = Lock()


@app.get("/")
def book():
    with lock:
        return render_template("book.html", guests=list(guests))


@app.post("/guests")
def sign():
    name = request.form.get("name", "").strip()
    if not name:
        return jsonify(error="a guest needs a name"), 400
    with lock:
        guests.append(name)
    return redirect(url_for("book"), code=303)


@app.get("/about")
def about():
    return jsonify(process=os.getpid(), user=os.getuid(), path=request.path, query=request.args)


@app.post("/invoke")
def invoke():
    """Events: what `thaw invoke` and triggers send."""
    event = request.get_data(as_text=True)
    print(f"event of {len(event)} characters", flush=True)
    return f"Flask got {event}"
