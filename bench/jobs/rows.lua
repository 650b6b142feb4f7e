--- What is measured, and what it has to reach. Nothing is measured here.
--
-- A command is a text with words in capitals after an @, which run.lua
-- replaces: @N by the number of jobs, @DIR by an empty directory, @SQLITE by
-- the URL of a file in it, @REDIS by the URL of a server and @PORT by its
-- port (the row or the peer names the server), @BUILD by where the C programs
-- lie. It prints the number that counts first.

local rows = {}

local BYTES = 200
local SLUICE = "lua5.4 bench/jobs/sluice.lua "

-- -- ratios: sluice's jobs a second as a part of raw's, in the same round --

local function sluice(url, what, size, fast)
  return SLUICE .. ("%s %s @N %d %d %s"):format(url, what, size, BYTES,
    fast or "")
end

local function raw_sqlite(what, per_commit)
  return SLUICE .. "@SQLITE make && "
    .. ("@BUILD/raw_sqlite @FILE %s @N %d %d"):format(what, per_commit, BYTES)
end

local function raw_redis(what, depth)
  return ("@BUILD/raw_redis @PORT %s @N %d %d @SCRIPTS"):format(what, depth,
    BYTES)
end

local function on_sqlite(title, n, least, what, outstanding, per_commit)
  return {
    title = "SQLite: " .. title, n = n, least = least,
    raw = raw_sqlite(what, per_commit),
    sluice = sluice("@SQLITE", what, outstanding),
  }
end

local function on_redis(title, n, least, what, depth)
  return {
    title = "Redis: " .. title, n = n, least = least, server = "everysec",
    raw = raw_redis(what, depth), sluice = sluice("@REDIS", what, depth),
  }
end

rows.ratios = {
  on_sqlite("put, 1 outstanding; commits of 1", 3000, 0.6, "put", 1, 1),
  on_sqlite("put, 64 outstanding; commits of 100", 60000, 0.4, "put", 64, 100),
  on_sqlite("put, 512 outstanding; commits of 1000", 150000, 0.5, "put", 512,
    1000),
  on_sqlite("reserve, ack; commits of 1", 1500, nil, "take", 1, 1),
  on_sqlite("reserve_many(100), ack_many; commits of 100", 60000, 0.5, "take",
    100, 100),
  on_redis("put, 1 outstanding; depth 1", 6000, 0.85, "put", 1),
  on_redis("put, 128 outstanding; depth 128", 20000, 0.7, "put", 128),
  on_redis("reserve, ack; depth 1", 3000, 0.85, "take", 1),
  on_redis("reserve_many(100), ack_many; the same calls", 15000, 0.7, "take",
    100),
}

-- -- bounds: one number each, at most or at least so much --

local SLOW = "env SLOW_FSYNC_MS=20 LD_PRELOAD=@BUILD/slow_fsync.so "

local function lag(url, slow)
  return (slow and SLOW or "")
    .. ("lua5.4 bench/jobs/lag.lua %s 3 64"):format(url)
end

local function crowd(processes, tasks)
  return ("lua5.4 bench/jobs/crowd.lua @SQLITE %d 2 %d"):format(processes,
    tasks)
end

-- With a number of processes: what they do together, as a part of what one
-- does, is another row's quotient; see `of`.
local function together(processes, tasks)
  return {
    title = ("%d processes, %d task%s each: jobs/s of one process's")
      :format(processes, tasks, tasks == 1 and "" or "s"),
    unit = "", least = 0.7, command = crowd(processes, tasks),
    of = crowd(1, tasks),
    -- The share of the slowest in the mean, and calls that failed.
    others = { { 2, least = 0.25, title = "slowest, of the mean" },
      { 3, most = 0, title = "failed" } },
  }
end

rows.bounds = {
  {
    title = "loop lag p99, 64 putters, each fsync 20 ms slower",
    unit = "ms", most = 2, command = lag("@SQLITE", true),
  },
  {
    title = "  the same with memory:, for comparison", unit = "ms",
    command = lag("memory:", false),
  },
  {
    title = "put to reserve across processes, SQLite, p99", unit = "ms",
    most = 2, command = "lua5.4 bench/jobs/across.lua @SQLITE 400",
    others = { { 2, title = "p50" } },
  },
  {
    title = "put to reserve across processes, Redis, p99", unit = "ms",
    most = 2, server = "everysec",
    command = "lua5.4 bench/jobs/across.lua @REDIS 400",
    others = { { 2, title = "p50" } },
  },
  {
    title = "wake-ups in 5 s of an idle worker, SQLite", unit = "",
    most = 1, once = true, command = "lua5.4 bench/jobs/idle.lua @SQLITE 10",
  },
  {
    title = "wake-ups in 5 s of an idle worker, Redis", unit = "",
    most = 1, once = true, server = "everysec",
    command = "lua5.4 bench/jobs/idle.lua @REDIS 10",
  },
  {
    title = "reserve with 2.1 million jobs, of that with 2,100", unit = "",
    most = 1.3, once = true, command = "lua5.4 bench/jobs/deep.lua @DIR",
  },
  together(2, 1), together(4, 1), together(8, 1),
  together(2, 16), together(4, 16), together(8, 16),
}

-- -- peers: jobs a second put and worked off, by durability --

local function python(name, variant)
  return ("%s bench/jobs/python_%s.py @PORT @N %d %s"):format(
    os.getenv "PYTHON" or "/usr/bin/python3", name, BYTES, variant)
end

local BEANSTALK = ("@BUILD/beanstalk @PORT @N 64 %d"):format(BYTES)

--- What is compared: a peer's jobs a second with those of the first of its
-- group, which is sluice in a file, and of the one that uses the same server.
rows.peers = {
  {
    title = "each commit survives a power cut",
    { title = "sluice, sqlite:", n = 30000,
      command = sluice("@SQLITE", "life", 64) },
    { title = "sluice, Redis, appendfsync always", n = 6000,
      server = "always", command = sluice("@REDIS", "life", 64) },
    { title = "beanstalkd -f0, client in C, 64 under way", n = 1000, times = 5,
      server = "beanstalk_f0", command = BEANSTALK },
    { title = "rq, appendfsync always, SimpleWorker", n = 300, times = 5,
      server = "always", command = python("rq", "simple") },
    { title = "rq, appendfsync always, worker that forks", n = 100,
      times = 5, server = "always", command = python("rq", "fork") },
    { title = "celery, appendfsync always, solo", n = 500, times = 5,
      server = "always", command = python("celery", "solo") },
    { title = "celery, appendfsync always, prefork", n = 500, times = 5,
      server = "always", command = python("celery", "prefork") },
  },
  {
    title = "a power cut loses the last moments, the process's end nothing",
    { title = "sluice, sqlite:, durable = false", n = 60000,
      command = sluice("@SQLITE", "life", 64, "fast") },
    { title = "sluice, Redis, appendfsync everysec", n = 10000,
      server = "everysec", command = sluice("@REDIS", "life", 64) },
    { title = "beanstalkd -b, fsync each 50 ms", n = 30000,
      server = "beanstalk", command = BEANSTALK },
    { title = "rq, appendfsync everysec, SimpleWorker", n = 500, times = 5,
      server = "everysec", command = python("rq", "simple") },
    { title = "rq, appendfsync everysec, worker that forks", n = 100,
      times = 5, server = "everysec", command = python("rq", "fork") },
    { title = "celery, appendfsync everysec, solo", n = 1000, times = 5,
      server = "everysec", command = python("celery", "solo") },
    { title = "celery, appendfsync everysec, prefork", n = 1000, times = 5,
      server = "everysec", command = python("celery", "prefork") },
  },
  {
    title = "nothing survives the process",
    { title = "sluice, memory:", n = 60000,
      command = sluice("memory:", "life", 64) },
    { title = "beanstalkd, no file", n = 30000,
      server = "beanstalk_memory", command = BEANSTALK },
  },
}

return rows
