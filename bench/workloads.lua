--- The rows of the table: what is measured, how often, and how far sluice may
-- be from raw. Each peer has a program that knows these names and takes the
-- name and the count; it prints one number, what one operation took.
--
-- All programs measure themselves in the same way: the workload once with a
-- tenth of the count to warm up, a full garbage collection, then the count
-- between two readings of the monotonic clock (of the process's CPU time for
-- the sleepers). The counts make a measurement last between 0.2 and 1 second;
-- a slow peer gets a smaller one, the result is per operation all the same.
--
-- `allowed` is the greatest ratio of sluice to raw that the design permits;
-- `most` is the greatest value that sluice may have, where raw has none.

return {
  {
    name = "handover", title = "hand-over through a queue of 1",
    -- One item, put by one task and got by another.
    allowed = 1.4,
    n = { raw = 4000000, sluice = 4000000, asyncio = 60000,
          cqueues = 200000, go = 4000000 },
  },
  {
    name = "workers", title = "queue of 100, 10 workers, task_done, join",
    -- One item, put by main and got and marked done by one of the workers.
    allowed = 1.55,
    n = { raw = 4000000, sluice = 4000000, asyncio = 400000,
          cqueues = 1000000, go = 4000000 },
  },
  {
    name = "yield", title = "yield, 100 tasks",
    -- One turn of one task.
    allowed = 1.1,
    n = { raw = 5000000, sluice = 5000000, asyncio = 400000,
          cqueues = 1000000, go = 5000000 },
  },
  {
    name = "spawn", title = "make 200,000 tasks, await them",
    -- One task that does nothing: made, run, awaited; all alive at once.
    allowed = 1.9,
    n = { raw = 200000, sluice = 200000, asyncio = 200000,
          cqueues = 200000, go = 200000 },
  },
  {
    name = "spawn_one", title = "make one, await it, again",
    -- One task that does nothing: made, run, awaited, before the next.
    allowed = 1.9,
    n = { raw = 2000000, sluice = 2000000, asyncio = 80000,
          cqueues = 200000, go = 1000000 },
  },
  {
    name = "sleepers", title = "100,000 sleepers of 0 to 1 s, CPU each",
    -- One task made, asleep for a random time once, ended, awaited; user and
    -- system time of the process.
    allowed = 1.7,
    n = { raw = 100000, sluice = 100000, asyncio = 100000,
          cqueues = 100000, go = 100000 },
  },
  {
    name = "priorities",
    title = "priority queue, 300,000 random, push and pop",
    -- One random number pushed and popped; all are pushed, then all popped.
    allowed = 1.5,
    n = { raw = 300000, sluice = 300000, asyncio = 300000, go = 300000 },
  },
  {
    name = "lock", title = "lock, 100 tasks, the holder yields",
    -- One acquire, yield and release.
    allowed = 1.2,
    n = { raw = 2000000, sluice = 2000000, asyncio = 60000,
          cqueues = 300000, go = 1000000 },
  },
  {
    name = "lock_free", title = "lock, uncontended",
    -- One acquire and release.
    allowed = 1.45,
    n = { raw = 8000000, sluice = 8000000, asyncio = 2000000,
          cqueues = 3000000, go = 20000000 },
  },
  {
    name = "wait_for_ready", title = "wait_for around a get that is ready",
    -- One put, and one get under a deadline that need not wait.
    allowed = 2.0,
    n = { raw = 4000000, sluice = 4000000, asyncio = 40000, go = 500000 },
  },
  {
    name = "wait_for_wait", title = "wait_for around a get that waits",
    -- One get under a deadline that waits for the put of another task, which
    -- yields after it.
    allowed = 1.5,
    n = { raw = 2000000, sluice = 2000000, asyncio = 30000, go = 400000 },
  },
  {
    name = "broadcast", title = "event that 10,000 tasks wait for, a wake",
    -- One task woken, and waiting for the event again.
    allowed = 1.25,
    n = { raw = 4000000, sluice = 4000000, asyncio = 200000,
          cqueues = 500000, go = 1000000 },
  },
  {
    name = "memory", title = "bytes of a sleeping task, all in", unit = "B",
    -- Resident memory of the process, before and after so many tasks were
    -- made and went to sleep, divided by their number.
    allowed = 1.3,
    n = { raw = 100000, sluice = 100000, asyncio = 100000,
          cqueues = 100000, go = 100000 },
  },
  {
    name = "start", title = "start-up of an empty program", unit = "us",
    -- One process: started, the library loaded, an empty main run, ended.
    -- The median of so many.
    allowed = 1.4,
    n = { raw = 100, sluice = 100, asyncio = 10, cqueues = 100, go = 100 },
  },
  {
    name = "early", title = "sleeps that woke too early, of 1,000",
    unit = "",
    -- So many tasks, each asleep once for 0 to 1 second at the same time.
    most = 0,
    n = { sluice = 1000, asyncio = 1000, cqueues = 1000, go = 1000 },
  },
  {
    name = "late", title = "how late a sleep wakes, the median of 1,000",
    unit = "us",
    -- The same sleeps.
    most = 100,
    n = { raw = 1000, sluice = 1000, asyncio = 1000, cqueues = 1000,
          go = 1000 },
  },
}
