"""Models that are fitted and asked over HTTP: scikit-learn behind the standard library's server.

POST /fit      {"model": "forest" | "logistic" | "neighbours", "rows": [[...]], "labels": [...]}
               or {"model": ..., "dataset": "digits" | "iris" | "wine"}: three quarters of it are learnt, the rest is asked
POST /predict  {"rows": [[...]]}: the labels that the fitted model gives them, and how sure it is
POST /invoke   an event that does both: {"model": ..., "rows": ..., "labels": ..., "predict": [[...]]}
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BODY_BYTES_MAX = 8 * 1024 * 1024
MODELS = {
    "forest": lambda: RandomForestClassifier(n_estimators=50, random_state=0),
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "neighbours": lambda: KNeighborsClassifier(n_neighbors=3),
}
DATASETS = {"digits": datasets.load_digits, "iris": datasets.load_iris, "wine": datasets.load_wine}


def chosen(kind, table, name):
    if name not in table:
        raise ValueError(f"{kind} is one of {', '.join(table)}, not {name!r}")
    return table[name]()


def fit(request):
    """Gives the fitted model, and what is to be said about it."""
    model = chosen("model", MODELS, request.get("model", "forest"))
    if "dataset" not in request:
        model.fit(request["rows"], request["labels"])
        return model, {"rows": len(request["rows"]), "classes": model.classes_.tolist()}
    dataset = chosen("dataset", DATASETS, request["dataset"])
    rows, labels = dataset["data"], dataset["target"]
    learnt, held, learnt_labels, held_labels = train_test_split(
        rows, labels, test_size=0.25, random_state=0, stratify=labels
    )
    model.fit(learnt, learnt_labels)
    return model, {
        "rows": len(learnt),
        "classes": model.classes_.tolist(),
        "held": len(held),
        "accuracy": accuracy_score(held_labels, model.predict(held)),
    }


def predict(model, rows):
    return {
        "labels": model.predict(rows).tolist(),
        "certainty": model.predict_proba(rows).max(axis=1).tolist(),
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = None
    lock = Lock()

    def do_GET(self):
        self.answer(200, {"models": list(MODELS), "datasets": list(DATASETS)})

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, {"error": f"a request has at most {BODY_BYTES_MAX} bytes"})
        body = self.rfile.read(length)
        try:
            self.answer(*self.answer_to(self.path.partition("?")[0], json.loads(body)))
        except (ValueError, KeyError, TypeError) as error:
            self.answer(400, {"error": f"{type(error).__name__}: {error}"})

    def answer_to(self, path, request):
        if path == "/fit":
            model, told = fit(request)
            with Handler.lock:
                Handler.model = model
            return 200, told
        if path == "/predict":
            with Handler.lock:
                model = Handler.model
            return (409, {"error": "nothing is fitted yet"}) if model is None else (200, predict(model, request["rows"]))
        if path == "/invoke":
            model, told = fit(request)
            return 200, told | (predict(model, request["predict"]) if "predict" in request else {})
        return 404, {"error": f"nothing is at {path}"}

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 9000), Handler).serve_forever()
