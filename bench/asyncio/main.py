"""The workloads on asyncio: `main.py WORKLOAD N` prints one number.

What one operation is, and how it is measured, is told in bench/workloads.lua.
"""

import asyncio
import gc
import os
import random
import sys
import time


async def handover(n):
    queue = asyncio.Queue(1)

    async def produce():
        for i in range(n):
            await queue.put(i)

    producer = asyncio.create_task(produce())
    for _ in range(n):
        await queue.get()
    await producer


async def workers(n):
    queue = asyncio.Queue(100)

    async def work():
        while True:
            await queue.get()
            queue.task_done()

    tasks = [asyncio.create_task(work()) for _ in range(10)]
    for i in range(n):
        await queue.put(i)
    await queue.join()
    for task in tasks:
        task.cancel()


async def together(count, body):
    tasks = [asyncio.create_task(body()) for _ in range(count)]
    for task in tasks:
        await task


async def yields(n):
    async def body():
        for _ in range(n // 100):
            await asyncio.sleep(0)

    await together(100, body)


async def nothing():
    pass


async def spawn(n):
    await together(n, nothing)


async def spawn_one(n):
    for _ in range(n):
        await asyncio.create_task(nothing())


async def sleepers(n):
    async def body():
        await asyncio.sleep(random.random())

    await together(n, body)


async def priorities(n):
    queue = asyncio.PriorityQueue()
    for _ in range(n):
        await queue.put(random.random())
    for _ in range(n):
        await queue.get()


async def lock(n):
    shared = asyncio.Lock()

    async def body():
        for _ in range(n // 100):
            await shared.acquire()
            await asyncio.sleep(0)
            shared.release()

    await together(100, body)


async def lock_free(n):
    mine = asyncio.Lock()
    for _ in range(n):
        await mine.acquire()
        mine.release()


async def wait_for_ready(n):
    queue = asyncio.Queue(1)
    for i in range(n):
        await queue.put(i)
        await asyncio.wait_for(queue.get(), 10)


async def wait_for_wait(n):
    queue = asyncio.Queue(1)

    async def produce():
        for i in range(n):
            await queue.put(i)
            await asyncio.sleep(0)

    producer = asyncio.create_task(produce())
    for _ in range(n):
        await asyncio.wait_for(queue.get(), 10)
    await producer


async def broadcast(n):
    event = asyncio.Event()
    rounds = n // 10000

    async def body():
        for _ in range(rounds):
            await event.wait()

    tasks = [asyncio.create_task(body()) for _ in range(10000)]
    for _ in range(rounds):
        await asyncio.sleep(0)
        event.set()
        event.clear()
    for task in tasks:
        await task


def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def memory(n):
    async def body():
        await asyncio.sleep(3600)

    before = rss()
    tasks = [asyncio.create_task(body()) for _ in range(n)]
    await asyncio.sleep(0)
    result = (rss() - before) / len(tasks)
    print(result, flush=True)
    os._exit(0)


async def lateness(n):
    """How late each of n sleeps woke, in seconds, sorted."""
    late = []

    async def body():
        duration = random.random()
        start = time.monotonic()
        await asyncio.sleep(duration)
        late.append(time.monotonic() - start - duration)

    await together(n, body)
    return sorted(late)


async def early(n):
    return sum(seconds < 0 for seconds in await lateness(n))


async def late(n):
    return (await lateness(n))[n // 2] * 1e6


async def timed(body, n, now=time.perf_counter_ns):
    """Nanoseconds an operation, after a warm-up of a tenth."""
    await body(n // 10)
    gc.collect()
    start = now()
    await body(n)
    return (now() - start) / n


async def main(name, n):
    if name in ("memory", "early", "late"):
        return await globals()[name](n)
    if name == "sleepers":
        return await timed(sleepers, n, time.process_time_ns)
    return await timed(yields if name == "yield" else globals()[name], n)


if sys.argv[1] == "start":
    async def empty():
        pass
    asyncio.run(empty())
else:
    print(asyncio.run(main(sys.argv[1], int(sys.argv[2]))))
