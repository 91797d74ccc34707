"""Learns to read handwritten digits, when the image is built.

The pictures are the 1,797 of the digits of UCI's optical recognition set that scikit-learn carries: 8 x 8 pixels of 17 greys.
A fifth of them is held back: the network never sees those, its accuracy is measured on them, and one of each digit is
kept as a PNG in /app/pictures to be asked about. A seed and one thread make the weights the same on the same kind of
processor.
"""

import json
import pathlib
import sys

import keras
import numpy
import tensorflow as tf

SEED = 20
EPOCHS = 40
ACCURACY_MIN = 0.95
HERE = pathlib.Path(__file__).parent

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(SEED)

table = numpy.loadtxt(sys.argv[1], delimiter=",")
order = numpy.random.default_rng(SEED).permutation(len(table))
pictures = (table[order, :-1].reshape(-1, 8, 8, 1) / 16).astype("float32")
labels = table[order, -1].astype("int64")
held = len(table) // 5

network = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.3, seed=SEED),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
network.compile(optimizer=keras.optimizers.Adam(0.002), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
network.fit(pictures[held:], labels[held:], batch_size=32, epochs=EPOCHS, verbose=0)
_, accuracy = network.evaluate(pictures[:held], labels[:held], verbose=0)
print(f"learnt {len(table) - held} pictures, reads {accuracy:.1%} of {held} others")
if accuracy < ACCURACY_MIN:
    sys.exit(f"an accuracy of {accuracy} is too low")

weights = {f"{index:02}": weight for index, weight in enumerate(network.get_weights())}
(HERE / "model").mkdir()
(HERE / "model" / "network.json").write_text(network.to_json())
# One file for each array: an archive would carry the time at which it was made.
for name, weight in weights.items():
    numpy.save(HERE / "model" / f"{name}.npy", weight)
(HERE / "model" / "facts.json").write_text(
    json.dumps({"learnt": len(table) - held, "held": held, "accuracy": round(float(accuracy), 4)})
)

(HERE / "pictures").mkdir()
for digit in range(10):
    first = numpy.flatnonzero(labels[:held] == digit)[0]
    # As a camera would give it: larger, eight bits a pixel, dark ink on white paper.
    large = tf.image.resize(255 * (1 - pictures[first]), (64, 64), method="nearest")
    png = tf.io.encode_png(tf.cast(tf.round(large), tf.uint8))
    (HERE / "pictures" / f"{digit}.png").write_bytes(png.numpy())
