"""python3-celery on a Redis server: jobs that do nothing.

usage: python_celery.py PORT JOBS BYTES solo|prefork
Prints the jobs a second put, one after the other, and the jobs a second
worked off by a worker process with the solo pool, or with a child that it
has forked, which is the usual one; from the first job to the last. A job is
acknowledged when it is done, as elsewhere; nothing is kept of its result.
"""
import os
import subprocess
import sys
import time

from celery import Celery

app = Celery("python_celery",
             broker=f"redis://127.0.0.1:{os.environ.get('REDIS_PORT')}/1")
app.conf.update(task_ignore_result=True, task_acks_late=True,
                worker_send_task_events=False)
done = 0
began = 0.0


@app.task(name="noop")
def noop(body, count):
    """The last one says how long all took."""
    global done, began
    if done == 0:
        began = time.monotonic()
    done += 1
    if done == count:
        print(f"rate {(count - 1) / (time.monotonic() - began):.0f}",
              flush=True)


def put(count, size):
    body = "x" * size
    noop.delay(body, 0)
    app.control.purge()
    start = time.monotonic()
    for _ in range(count):
        noop.delay(body, count)
    return count / (time.monotonic() - start)


def work(pool):
    command = [sys.executable, "-m", "celery", "-A", "python_celery",
               "worker", "-P", pool, "-c", "1", "-l", "WARNING",
               "--without-gossip", "--without-mingle",
               "--without-heartbeat"]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT,
                              cwd=os.path.dirname(__file__))
    for line in worker.stdout:
        if "rate " in line:
            rate = float(line.split("rate ")[1])
            worker.terminate()
            worker.stdout.read()
            worker.wait()
            return rate
    raise SystemExit("the worker ended")


def main():
    count, size = int(sys.argv[2]), int(sys.argv[3])
    os.environ["REDIS_PORT"] = sys.argv[1]
    app.conf.broker_url = f"redis://127.0.0.1:{sys.argv[1]}/1"
    putting = put(count, size)
    print(f"{putting:.0f} {work(sys.argv[4]):.0f}")


if __name__ == "__main__":
    main()
