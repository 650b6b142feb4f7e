-- sluice.to_thread: what travels to another Lua state and back, what a call
-- sees there, and what becomes of it when nobody waits any more.

local errors = require "spec.support.errors"
local process = require "spec.support.process"
local sluice = require "sluice"
local testing = require "sluice.testing"

local to_thread = sluice.to_thread

-- Runs fn in a thread and returns what comes back.
local function call(fn, ...)
  return sluice.run(to_thread, fn, ...)
end

local function identity(...) return ... end

-- A place where a thread waits until it is told to go on: both ends of a
-- named pipe wait for each other.
local function new_gate()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkfifo " .. path))
  local gate = { path = path }
  function gate.meet() gate.pipe = assert(io.open(path, "w")) end
  function gate.open() gate.pipe:close() end
  return setmetatable(gate, { __close = function() os.remove(path) end })
end

-- Runs in a thread.
local function wait_at(path)
  local pipe <close> = io.open(path)
  return pipe:read("a")
end

-- Holds every thread of the pool; what comes after waits for its turn.
local function occupy_pool()
  local gates = {}
  for i = 1, tonumber(os.getenv "UV_THREADPOOL_SIZE") or 4 do
    gates[i] = new_gate()
    sluice.create_task(to_thread, wait_at, gates[i].path)
  end
  sluice.sleep(0)
  for _, gate in ipairs(gates) do gate.meet() end
  return gates
end

local function release_pool(gates)
  for _, gate in ipairs(gates) do
    gate.open()
    os.remove(gate.path)
  end
end

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

describe("what to_thread passes", function()
  it("is every value that has no identity", function()
    local values = table.pack(nil, true, false, 7, -7, 2.5, math.huge,
      math.mininteger, math.maxinteger, 1e300, "text", "", nil)
    assert.same(values, table.pack(call(identity, table.unpack(values, 1,
      values.n))))
  end)

  it("keeps the number of arguments and of results", function()
    local function count(...) return select("#", ...) end
    assert.equal(0, call(count))
    assert.equal(3, call(count, nil, nil, nil))
    assert.equal(0, select("#", call(identity)))
    assert.equal(3, select("#", call(identity, nil, nil, nil)))
  end)

  it("keeps integers and floats apart, also -0.0 and NaN", function()
    local one, float, zero, nan = call(identity, 1, 1.0, -0.0, 0 / 0)
    assert.equal("integer", math.type(one))
    assert.equal("float", math.type(float))
    assert.equal(-math.huge, 1 / zero)
    assert.is_true(nan ~= nan)
  end)

  it("is strings of any bytes and length", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local all = table.concat(bytes)
    assert.equal(all, call(identity, all))
    local long = all:rep(40000)
    assert.is_true(long == call(identity, long))
  end)

  it("is tables of tables, with keys of every kind", function()
    local value = {
      1, { 2, { 3 } }, nil, 4, [2.5] = "float", [true] = "boolean",
      [-1] = "negative", text = { deep = { deeper = { "x" } } },
    }
    assert.same(value, call(identity, value))
  end)

  it("is tables as keys", function()
    local value = call(identity, { [{ 1, 2 }] = "value" })
    local key = next(value)
    assert.same({ 1, 2 }, key)
    assert.equal("value", value[key])
  end)

  it("is sparse tables, without their holes", function()
    local sparse = { 1, 2, nil, 4, [2 ^ 52 | 0] = "far" }
    for i = 3, 40 do sparse[1 << i] = i end
    assert.same(sparse, call(identity, sparse))
  end)

  it("copies a table that stands in two places twice", function()
    local shared = { 1 }
    local value = call(identity, { shared, shared })
    assert.same({ { 1 }, { 1 } }, value)
    assert.is_false(rawequal(value[1], value[2]))
  end)

  it("copies without metatables and without calling them", function()
    local value = setmetatable({ 1 }, {
      __index = error, __pairs = error, __len = error, __name = "Thing",
    })
    local copy = call(identity, value)
    assert.same({ 1 }, copy)
    assert.is_nil(getmetatable(copy))
  end)

  it("is large tables", function()
    local list = {}
    for i = 1, 200000 do list[i] = { id = i, name = "n" .. i } end
    local copy = call(identity, list)
    assert.equal(#list, #copy)
    assert.same(list[123456], copy[123456])
  end)

  it("is a thousand tables in one another", function()
    local value = {}
    for _ = 1, 999 do value = { value } end
    local copy, depth = call(identity, value), 0
    while copy do copy, depth = copy[1], depth + 1 end
    assert.equal(1000, depth)
  end)

  it("is thousands of arguments and of results", function()
    local many = {}
    for i = 1, 50000 do many[i] = i end
    assert.equal(50000, select("#", call(identity, table.unpack(many))))
  end)
end)

describe("what to_thread refuses", function()
  -- Runs fn, written on one line, which the error must name.
  local function refuses(text, fn)
    local where = debug.getinfo(fn, "S")
    local err = errors.of(sluice.run, fn)
    local place = ("%s:%d: "):format(where.short_src, where.linedefined)
    assert.equal(place .. text, err)
  end

  local function refuses_function(why, fn)
    refuses(("bad argument #1 to 'to_thread' (%s)"):format(why), fn)
  end

  it("is a function with upvalues, all of which it names", function()
    local a, b = 1, {}
    local function add() return a + #b + select("#") end
    refuses_function("the function has upvalues: 'a', 'b'; pass them as "
      .. "arguments", function() sluice.to_thread(add) end)
  end)

  it("is a function that calls itself by a local name", function()
    local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
    refuses_function("the function has upvalues: 'fib'; pass them as "
      .. "arguments", function() sluice.to_thread(fib) end)
  end)

  it("is a C function", function()
    refuses_function("a C function cannot be passed to a thread",
      function() sluice.to_thread(print) end)
  end)

  it("is what is no function", function()
    refuses_function("function expected, got table",
      function() sluice.to_thread({}) end)
    refuses_function("function expected, got no value",
      function() sluice.to_thread() end)
  end)

  local function refuses_argument(n, why, fn)
    refuses(("bad argument #%d to 'to_thread' (cannot pass %s)"):format(n,
      why), fn)
  end

  it("is an argument with an identity, which it names", function()
    local co, queue = coroutine.create(print), sluice.Queue()
    refuses_argument(2, "a function between Lua states",
      function() sluice.to_thread(identity, print) end)
    refuses_argument(3, "a coroutine between Lua states",
      function() sluice.to_thread(identity, 1, co) end)
    refuses_argument(2, "a FILE* between Lua states",
      function() sluice.to_thread(identity, io.stdout) end)
    refuses_argument(2, "a sluice.Queue between Lua states",
      function() sluice.to_thread(identity, queue) end)
  end)

  it("is such a value inside tables, and tells where it is", function()
    local deep = { a = { {}, { [2.5] = { [true] = print } } } }
    refuses_argument(2, "a function between Lua states, at "
      .. "value.a[2][2.5][true]", function() to_thread(identity, deep) end)
    local key = { x = { [print] = 1 } }
    refuses_argument(2, "a function between Lua states, at value.x[a key]",
      function() to_thread(identity, key) end)
  end)

  it("is a table that contains itself", function()
    local value = { list = {} }
    value.list[1] = value
    refuses_argument(2, "a table that contains itself between Lua states, "
      .. "at value.list[1]", function() to_thread(identity, value) end)
  end)

  it("is more than a thousand tables in one another", function()
    local value = {}
    for _ = 1, 1000 do value = { value } end
    local err = errors.of(sluice.run, to_thread, identity, value)
    assert.matches("cannot pass tables nested more than 1000 deep", err)
    assert.matches("at value%[1%]%[1%].*%.%.%.%)$", err)
  end)

  it("is results of that kind, told at the caller's line", function()
    local function bad() return 1, { f = print } end
    refuses("bad result #2 of the function (cannot pass a function between "
      .. "Lua states, at value.f)", function() sluice.to_thread(bad) end)
  end)

  it("is a call outside a task", function()
    local err = errors.of(function() to_thread(identity) end)
    assert.matches("'to_thread' can wait, so it must be called in a task", err)
  end)

  it("is a call inside a thread, which could wait for itself", function()
    local err = errors.of(call, function()
      local inner = require "sluice"
      inner.run(function() inner.to_thread(function() end) end)
    end)
    assert.matches("'to_thread' cannot be called inside a thread", err)
  end)
end)

describe("a function in a thread", function()
  it("has the globals of a new state", function()
    -- luacheck: globals of_main
    of_main = true
    local seen, kinds = call(function()
      return of_main, type(string.format) .. type(require) .. type(_G.print)
    end)
    of_main = nil
    assert.is_nil(seen)
    assert.equal("functionfunctionfunction", kinds)
  end)

  it("sees no globals that another call has set", function()
    sluice.run(function()
      for _ = 1, 40 do
        assert.is_nil(to_thread(function()
          -- luacheck: globals left_behind
          local before = left_behind or _G.left_behind_too
          left_behind, _G.left_behind_too = 1, 1
          return before
        end))
      end
    end)
  end)

  it("loads modules by the paths of the caller", function()
    local path = os.tmpname()
    local directory, base = path:match "^(.*/)(.*)$"
    local file = assert(io.open(path, "w"))
    file:write("return { name = ..., answer = 42 }")
    file:close()
    local saved = package.path
    package.path = directory .. "?"
    local answer, name = call(function(module)
      local loaded = require(module)
      return loaded.answer, loaded.name
    end, base)
    package.path = saved
    os.remove(path)
    assert.equal(42, answer)
    assert.equal(base, name)
  end)

  it("may be one without debug information", function()
    local stripped = load(string.dump(function(x) return type(x) end, true))
    assert.equal("number", call(stripped, 1))
  end)

  it("may make closures and coroutines of its own", function()
    local function main(n)
      local function walk(i)
        if i > n then return end
        coroutine.yield(i)
        walk(i + 1)
      end
      local sum = 0
      for i in coroutine.wrap(function() walk(1) end) do sum = sum + i end
      return sum
    end
    assert.equal(55, call(main, 10))
  end)

  it("may run a loop of its own", function()
    assert.equal("done", call(function()
      local inner = require "sluice"
      return inner.run(function()
        inner.sleep(0.001)
        return inner.create_task(function() return "done" end):await()
      end)
    end))
  end)

  it("cannot end the process", function()
    assert.matches("'os.exit' cannot be called in a thread",
      errors.of(call, function() os.exit(3) end))
  end)

  it("cannot yield", function()
    assert.matches("attempt to yield from outside a coroutine",
      errors.of(call, function() coroutine.yield() end))
  end)
end)

describe("an error in a thread", function()
  it("is raised unchanged if it can be passed", function()
    assert.equal("plain", errors.of(call, function() error("plain", 0) end))
    assert.equal(7, errors.of(call, function() error(7) end))
    assert.same({ code = 7 }, errors.of(call, function()
      error({ code = 7 })
    end))
    assert.equal(errors.NIL, errors.of(call, function() error() end))
    assert.is_false(errors.of(call, function() error(false) end))
  end)

  it("is raised as text otherwise", function()
    assert.equal("described", errors.of(call, function()
      error(setmetatable({ print }, { __tostring = function()
        return "described"
      end }))
    end))
    assert.matches("^function: ", errors.of(call, function() error(print) end))
  end)

  it("may be raised by the error's own __tostring", function()
    assert.equal("worse", errors.of(call, function()
      error(setmetatable({ print }, { __tostring = function()
        error("worse", 0)
      end }))
    end))
  end)

  it("names its place in the thread", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local err = errors.of(call, function() error("here") end)
    assert.matches(":" .. line .. ": here$", err)
  end)

  it("has a traceback of the thread and of the caller", function()
    errors.of(sluice.run, function()
      local function inside() local function fail() error("x") end fail() end
      to_thread(inside)
    end)
    local trace = sluice.traceback()
    assert.matches("in .-'fail'.*called from.*to_thread", trace)
    assert.equal(1, select(2, trace:gsub("stack traceback:", "")))
  end)

  it("has its traceback also if a task awaits the caller", function()
    errors.of(sluice.run, function()
      local task = sluice.create_task(to_thread, function() error("x") end)
      task:await()
    end)
    assert.matches("called from", sluice.traceback())
  end)

  it("may be that the thread has no memory", function()
    local err = errors.of(call, function()
      local file <close> = io.open("/dev/null")
      return file:read(1 << 46)
    end)
    assert.equal("not enough memory", err)
    assert.equal(1, call(identity, 1))
  end)

  it("may be a stack that overflows", function()
    local err = errors.of(call, function()
      local function deeper() return 1 + deeper() end
      return deeper()
    end)
    assert.matches("stack overflow", err)
  end)
end)

describe("a task that waits for a thread", function()
  it("lets the loop run meanwhile", function()
    local gate <close> = new_gate()
    sluice.run(function()
      local task = sluice.create_task(to_thread, wait_at, gate.path)
      sluice.sleep(0)
      gate.meet()
      for _ = 1, 5 do sluice.sleep(0.001) end
      assert.is_false(task:done())
      gate.open()
      assert.equal("", task:await())
    end)
  end)

  it("is in no deadlock", function()
    assert.equal(1, call(function()
      local start = os.clock()
      while os.clock() - start < 0.02 do end
      return 1
    end))
  end)

  it("keeps a virtual clock from going on", function()
    testing.run(function()
      local task = sluice.create_task(to_thread, function()
        local start = os.clock()
        while os.clock() - start < 0.02 do end
      end)
      sluice.create_task(function() sluice.sleep(1000) end)
      task:await()
      assert.equal(0, sluice.time())
    end)
  end)

  it("may be one of a hundred", function()
    local results = sluice.run(function()
      local tasks = {}
      for i = 1, 100 do
        tasks[i] = sluice.create_task(to_thread, function(n)
          local sum = 0
          for k = 1, n do sum = sum + k end
          return { n, sum }
        end, i)
      end
      return sluice.gather(tasks)
    end)
    for i = 1, 100 do assert.same({ i, i * (i + 1) // 2 }, results[i]) end
  end)

  it("leaves at once when it is cancelled, and the call goes on", function()
    local gate <close> = new_gate()
    local mark <close> = new_gate()
    sluice.run(function()
      local task = sluice.create_task(to_thread, function(pipe, path)
        local file <close> = io.open(pipe)
        file:read("a")
        io.open(path, "w"):close()
      end, gate.path, mark.path .. ".mark")
      sluice.sleep(0)
      gate.meet()
      task:cancel("enough")
      assert.equal("cancelled: enough", tostring(select(2, task:pawait())))
      gate.open()
      while not exists(mark.path .. ".mark") do sluice.sleep(0.001) end
      os.remove(mark.path .. ".mark")
    end)
  end)

  it("leaves at once when its time is up", function()
    local gate <close> = new_gate()
    sluice.run(function()
      local task = sluice.create_task(sluice.wait_for, 0.01, to_thread,
        wait_at, gate.path)
      sluice.sleep(0)
      gate.meet()
      assert.same({ nil, "timeout" }, { task:await() })
      gate.open()
    end)
  end)

  it("begins nothing if it is cancelled before its turn", function()
    local path = os.tmpname()
    os.remove(path)
    sluice.run(function()
      local gates = occupy_pool()
      local task = sluice.create_task(to_thread, function(name)
        io.open(name, "w"):close()
      end, path)
      sluice.sleep(0)
      task:cancel()
      assert.is_false((task:pawait()))
      release_pool(gates)
      assert.equal(1, to_thread(identity, 1))
    end)
    assert.is_false(exists(path))
  end)

  it("begins nothing if it was cancelled before", function()
    local path = os.tmpname()
    os.remove(path)
    sluice.run(function()
      local task = sluice.create_task(to_thread, function(name)
        io.open(name, "w"):close()
      end, path)
      task:cancel()
      assert.is_false((task:pawait()))
      to_thread(identity, 1)
    end)
    assert.is_false(exists(path))
  end)

  it("is cancelled cleanly wherever it is", function()
    testing.cancel_everywhere(function()
      assert.equal(1, to_thread(identity, 1))
      assert.equal(2, to_thread(identity, 2))
    end)
  end)

  it("gets its result if it is cancelled after the call has ended", function()
    sluice.run(function()
      local result
      local task = sluice.create_task(function()
        result = to_thread(identity, "kept")
        sluice.sleep(0)
      end)
      repeat sluice.sleep(0) until sluice.stats().ready == 1
      task:cancel()
      assert.is_false((task:pawait()))
      assert.is_true(task:cancelled())
      assert.equal("kept", result)
    end)
  end)
end)

describe("closing the state with threads in flight", function()
  local slow = [[
    local function slow()
      local start = os.clock()
      while os.clock() - start < 0.05 do end
      return { 1, { 2 } }
    end
  ]]

  local function ends_cleanly(text)
    local result = process.lua(slow .. text)
    assert.same({ status = 0, stdout = "", stderr = "" }, result)
  end

  it("is clean when their waiters were cancelled", function()
    ends_cleanly [[
      sluice.run(function()
        for _ = 1, 20 do sluice.create_task(sluice.to_thread, slow) end
        sluice.sleep(0.001)
      end)
    ]]
  end)

  it("is clean from within a task", function()
    ends_cleanly [[
      sluice.run(function()
        for _ = 1, 20 do sluice.create_task(sluice.to_thread, slow) end
        sluice.sleep(0.001)
        os.exit(true, true)
      end)
    ]]
  end)

  it("is clean when results are there that nobody took", function()
    ends_cleanly [[
      sluice.run(function()
        sluice.create_task(sluice.to_thread, slow)
        sluice.sleep(0)
        slow() slow() slow()
        os.exit(true, true)
      end)
    ]]
  end)

  it("is clean with a state that has loaded a loop of its own", function()
    ends_cleanly [[
      sluice.run(sluice.to_thread, function()
        return require("sluice").run(function() return 1 end)
      end)
    ]]
  end)
end)
