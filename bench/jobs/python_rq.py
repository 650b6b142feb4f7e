"""python3-rq on a Redis server: jobs that do nothing, of so many bytes.

usage: python_rq.py PORT JOBS BYTES simple|fork
Prints the jobs a second put, a hundred in a pipeline, which is the fastest
that rq has, and the jobs a second worked off: by its worker that forks for
each job, which is the usual one, or by the simple one, which does not.
"""
import logging
import sys
import time

from redis import Redis
from rq import Queue, SimpleWorker, Worker

import python_noop

PART = 100


def put(queue, count, body):
    for _ in range(0, count, PART):
        queue.enqueue_many([
            Queue.prepare_data(python_noop.noop, (body,), result_ttl=0)
            for _ in range(PART)])


def timed(function, *args):
    start = time.monotonic()
    function(*args)
    return time.monotonic() - start


def main():
    port, count, size = (int(word) for word in sys.argv[1:4])
    kind = SimpleWorker if sys.argv[4] == "simple" else Worker
    logging.disable(logging.INFO)
    connection = Redis(port=port)
    queue = Queue("bench", connection=connection)
    body = "x" * size
    putting = timed(put, queue, count, body)
    worker = kind([queue], connection=connection)
    working = timed(lambda: worker.work(burst=True))
    print(f"{count / putting:.0f} {count / working:.0f}")


main()
