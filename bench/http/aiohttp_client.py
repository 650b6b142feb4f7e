"""client.lua with aiohttp on uvloop.

usage: aiohttp_client.py URL [REQUESTS [TASKS]]
"""

import asyncio
import sys
import time

import aiohttp
import uvloop

URL = sys.argv[1]
REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
TASKS = int(sys.argv[3]) if len(sys.argv) > 3 else 64


async def work(session, left):
    while left[0] > 0:
        left[0] -= 1
        async with session.get(URL) as response:
            await response.read()
            assert response.status == 200


async def measure(session, n):
    left = [n]
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(session, left) for _ in range(TASKS)))
    return (n / (time.perf_counter() - began),
            (time.process_time() - cpu) / n * 1e6)


async def main():
    connector = aiohttp.TCPConnector(limit=TASKS)
    async with aiohttp.ClientSession(connector=connector) as session:
        await measure(session, REQUESTS // 10)
        print("client aiohttp: %.0f requests/s, %.1f us of CPU a request"
              % await measure(session, REQUESTS))


uvloop.install()
asyncio.run(main())
