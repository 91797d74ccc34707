"""A group-by over a join, spread over functions that exchange partitions through the object store.

Functions cannot talk to each other, so whatever one has for another lies in the bucket for a moment:

    generate -> source/<table>/<part>.parquet
    partition -> exchange/<table>/<bucket>/<part>.parquet      rows of one key are all in one bucket
    aggregate -> result/<bucket>.parquet                       joins and groups one bucket
    collect                                                    the answer, from all results
    alone                                                      the answer as DuckDB gives it in one process
"""

import json
import os
import tempfile

import boto3
import duckdb

LAKE = os.environ["LAKE"]
#: Made by arithmetic, so that every run has the same rows without shipping any.
ROWS = {
    "customers": """
        SELECT c AS customer_id, ['retail', 'public', 'industry', 'health'][1 + (hash(c) % 4)::BIGINT] AS segment
        FROM range({first}, {last}) AS rows(c)""",
    "orders": """
        SELECT o AS order_id, (hash(o) % {customers})::BIGINT AS customer_id, (hash(o, 'month') % 12 + 1)::INTEGER AS month,
               (hash(o, 'amount') % 1000000)::BIGINT * 0.01 AS amount
        FROM range({first}, {last}) AS rows(o)""",
}
QUERY = """
    SELECT segment, month, count(*) AS orders, sum(amount) AS amount, count(DISTINCT customer_id) AS customers
    FROM orders JOIN customers USING (customer_id) GROUP BY segment, month"""
#: A customer is in one bucket only, so the customers of the buckets can be added up too.
MERGE = """
    SELECT segment, month, sum(orders)::BIGINT AS orders, sum(amount) AS amount, sum(customers)::BIGINT AS customers
    FROM results GROUP BY segment, month ORDER BY segment, month"""

store = boto3.client("s3")


def generate(event, context):
    task = json.loads(event)
    with workspace() as work:
        rows = ROWS[task["table"]].format(**task)
        work.db.execute("COPY (%s) TO '%s' (FORMAT parquet)" % (rows, work.file("part.parquet")))
        work.upload("part.parquet", "source/%(table)s/%(part)04d.parquet" % task)
    return json.dumps({"rows": task["last"] - task["first"]})


def partition(event, context):
    task = json.loads(event)
    with workspace() as work:
        work.download("source/%(table)s/%(part)04d.parquet" % task, "part.parquet")
        work.db.execute("CREATE TABLE part AS FROM '%s'" % work.file("part.parquet"))
        for bucket in range(task["buckets"]):
            name = "bucket-%d.parquet" % bucket
            rows = "FROM part WHERE hash(customer_id) %% %d = %d" % (task["buckets"], bucket)
            work.db.execute("COPY (%s) TO '%s' (FORMAT parquet)" % (rows, work.file(name)))
            work.upload(name, "exchange/%s/%04d/%04d.parquet" % (task["table"], bucket, task["part"]))
    return b""


def aggregate(event, context):
    task = json.loads(event)
    with workspace() as work:
        for table in ROWS:
            work.load(table, "exchange/%s/%04d/" % (table, task["bucket"]))
        work.db.execute("COPY (%s) TO '%s' (FORMAT parquet)" % (QUERY, work.file("result.parquet")))
        work.upload("result.parquet", "result/%04d.parquet" % task["bucket"])
    return b""


def collect(event, context):
    with workspace() as work:
        work.load("results", "result/")
        return answer(work.db.execute(MERGE))


def alone(event, context):
    with workspace() as work:
        for table in ROWS:
            work.load(table, "source/%s/" % table)
        return answer(work.db.execute(QUERY + " ORDER BY segment, month"))


def answer(result):
    names = [column[0] for column in result.description]
    return "".join(json.dumps(dict(zip(names, row)), default=str) + "\n" for row in result.fetchall())


class workspace:
    """A directory and a database of one invocation."""

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.db = duckdb.connect()
        return self

    def __exit__(self, *error):
        self.db.close()
        self.directory.cleanup()

    def file(self, name):
        return os.path.join(self.directory.name, name)

    def upload(self, name, key):
        store.upload_file(self.file(name), LAKE, key)

    def download(self, key, name):
        store.download_file(LAKE, key, self.file(name))

    def load(self, table, prefix):
        os.mkdir(self.file(table))
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=LAKE, Prefix=prefix)
        for number, found in enumerate(found for page in pages for found in page.get("Contents", [])):
            self.download(found["Key"], "%s/%d.parquet" % (table, number))
        self.db.execute("CREATE TABLE %s AS FROM '%s'" % (table, self.file(table + "/*.parquet")))
