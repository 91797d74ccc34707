"""Reads a handwritten digit in a picture: TensorFlow behind the standard library's server.

POST /classify        a PNG, JPEG, BMP or GIF of one digit: the digit, and how likely each of the ten is
POST /invoke          an event with the same, as it is or in base64
GET  /pictures/7.png  a picture of a 7 that the network has not learnt from
GET  /                how well it reads
"""

import base64
import binascii
import json
import os
import pathlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import keras
import numpy
import tensorflow as tf

BODY_BYTES_MAX = 8 * 1024 * 1024
HERE = pathlib.Path(__file__).parent
FACTS = json.loads((HERE / "model" / "facts.json").read_text())

network = keras.models.model_from_json((HERE / "model" / "network.json").read_text())
network.set_weights([numpy.load(path) for path in sorted((HERE / "model").glob("*.npy"))])


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])
def classify(picture):
    grey = tf.image.rgb_to_grayscale(tf.io.decode_image(picture, channels=3, expand_animations=False))
    small = tf.image.resize(tf.cast(grey, tf.float32) / 255, (8, 8), method="area")
    # It learnt bright ink on black; a page is the other way round.
    ink = tf.where(tf.reduce_mean(small) > 0.5, 1 - small, small)
    ink = ink / tf.maximum(tf.reduce_max(ink), 1e-6)
    return network(ink[tf.newaxis], training=False)[0]


def picture_of(event):
    """An event may have its picture in base64, as JSON's way to carry one."""
    try:
        return base64.b64decode(event.strip(), validate=True)
    except (binascii.Error, ValueError):
        return event


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/":
            return self.answer(200, {**FACTS, "tensorflow": tf.__version__, "process": os.getpid()})
        kept = {f"/pictures/{file.name}": file for file in (HERE / "pictures").iterdir()}
        if path in kept:
            return self.send(200, "image/png", kept[path].read_bytes())
        self.answer(404, {"error": f"nothing is at {path}"})

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, {"error": f"a request has at most {BODY_BYTES_MAX} bytes"})
        body = self.rfile.read(length)
        path = self.path.partition("?")[0]
        if path not in ("/classify", "/invoke"):
            return self.answer(404, {"error": f"nothing is at {path}"})
        try:
            likely = classify(picture_of(body) if path == "/invoke" else body).numpy()
        except tf.errors.InvalidArgumentError:
            return self.answer(415, {"error": "that is no picture in PNG, JPEG, BMP or GIF"})
        self.answer(200, {"digit": int(likely.argmax()), "likely": [round(float(each), 4) for each in likely]})

    def answer(self, status, value):
        self.send(status, "application/json", json.dumps(value).encode())

    def send(self, status, content_type, body):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 9000), Handler).serve_forever()
