--- What is measured, and what it has to reach. Nothing is measured here.
--
-- A command is a text with words in capitals after an @, which run.lua
-- replaces: @N by the number of jobs, @DIR by an empty directory, @SQLITE by
-- the URL of a file in it, @REDIS by the URL of a server and @PORT by its
-- port (the row or the peer names the server), @BUILD by where the C programs
-- lie. It prints the number that counts first.

local rows = {}

local BYTES = 200
local SLUICE = "lua5.4 bench/jobs/throughput.lua "

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

local function lag(putters)
  return (putters > 0 and SLOW or "")
    .. ("lua5.4 bench/jobs/lag.lua @SQLITE 3 %d"):format(putters)
end

local function across(engine, url, server)
  return {
    title = "put to reserve across processes, " .. engine .. ", p99",
    unit = "ms", most = 2, server = server,
    command = ("lua5.4 bench/jobs/across.lua %s 400"):format(url),
    others = { { 2, title = "p50" } },
  }
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
    unit = "ms", most = 2, command = lag(64),
  },
  {
    title = "  while nobody puts, for comparison", unit = "ms",
    command = lag(0),
  },
  across("SQLite", "@SQLITE"),
  {
    title = "  a put of raw SQLite each 5 ms, for comparison", unit = "ms",
    n = 400, command = raw_sqlite("pace", 1),
    others = { { 2, title = "p50" } },
  },
  across("Redis", "@REDIS", "everysec"),
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

local function python(title, n, server, name, variant)
  local command = ("%s bench/jobs/python_%s.py @PORT @N %d %s"):format(
    os.getenv "PYTHON" or "/usr/bin/python3", name, BYTES, variant)
  return { title = title, n = n, times = 5, redis = true, server = server,
    command = command }
end

local BEANSTALK = ("@BUILD/beanstalk @PORT @N 64 %d"):format(BYTES)

--- In each group, a peer's jobs a second are compared with those of sluice in a
-- file, which is the first, and, where both use Redis, of sluice on Redis,
-- which is the second.
rows.peers = {
  {
    title = "each commit survives a power cut",
    { title = "sluice, sqlite:", n = 30000,
      command = sluice("@SQLITE", "life", 64) },
    { title = "sluice, Redis, appendfsync always", n = 6000,
      server = "always", command = sluice("@REDIS", "life", 64) },
    { title = "beanstalkd -f0, client in C, 64 under way", n = 1000, times = 5,
      server = "beanstalk_f0", command = BEANSTALK },
    python("rq, appendfsync always, SimpleWorker", 300, "always", "rq",
      "simple"),
    python("rq, appendfsync always, worker that forks", 100, "always", "rq",
      "fork"),
    python("celery, appendfsync always, solo", 500, "always", "celery",
      "solo"),
    python("celery, appendfsync always, prefork", 500, "always", "celery",
      "prefork"),
  },
  {
    title = "a power cut loses the last moments, the process's end nothing",
    { title = "sluice, sqlite:, durable = false", n = 60000,
      command = sluice("@SQLITE", "life", 64, "fast") },
    { title = "sluice, Redis, appendfsync everysec", n = 10000,
      server = "everysec", command = sluice("@REDIS", "life", 64) },
    { title = "beanstalkd -b, fsync each 50 ms", n = 30000,
      server = "beanstalk", command = BEANSTALK },
    python("rq, appendfsync everysec, SimpleWorker", 500, "everysec", "rq",
      "simple"),
    python("rq, appendfsync everysec, worker that forks", 100, "everysec",
      "rq", "fork"),
    python("celery, appendfsync everysec, solo", 1000, "everysec", "celery",
      "solo"),
    python("celery, appendfsync everysec, prefork", 1000, "everysec",
      "celery", "prefork"),
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
