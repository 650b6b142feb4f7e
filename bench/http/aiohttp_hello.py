"""hello.lua on aiohttp with uvloop: the smallest service."""

import sys

import uvloop
from aiohttp import web


async def hello(request):
    return web.json_response({"hello": "world"})


if __name__ == "__main__":
    uvloop.install()
    app = web.Application()
    app.router.add_get("/", hello)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]),
                access_log=None, print=None)
