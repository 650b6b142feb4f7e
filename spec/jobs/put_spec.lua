local engines = require "spec.support.engines"

engines.describe("put", function(it)
  it("gives each job an id, later ones a greater one", function(store)
    local queue = store:queue "mail"
    local first, second = queue:put "a", queue:put "b"
    assert.equal("integer", math.type(first))
    assert.is_true(first < second)
    assert.is_true(first > 1000000000)
  end)

  it("keeps any string as it is", function(store)
    local queue = store:queue "mail"
    for _, body in ipairs { "", "\0", "a\0b\xff\xfe", ("x"):rep(100000) } do
      queue:put(body)
      assert.equal(body, queue:reserve(0).body)
    end
  end)

  it("keeps a table by way of JSON", function(store)
    local queue = store:queue "mail"
    queue:put { to = "you", list = { "a", "b" }, yes = true }
    assert.same({ to = "you", list = { "a", "b" }, yes = true },
      queue:reserve(0).body)
  end)

  it("keeps a string that looks like JSON a string", function(store)
    local queue = store:queue "mail"
    queue:put '{"a":1}'
    assert.equal('{"a":1}', queue:reserve(0).body)
  end)

  it("puts many in one go, in order", function(store)
    local queue = store:queue "mail"
    local ids = queue:put_many { "a", { body = "b", priority = -1 }, { c = 1 } }
    assert.equal(3, #ids)
    local got = queue:reserve_many(10, 0)
    assert.same({ "b", "a" }, { got[1].body, got[2].body })
    assert.equal(1, got[3].body.c)
    assert.equal(ids[2], got[1].id)
  end)

  it("puts nothing when there is nothing to put", function(store)
    assert.same({}, store:queue("mail"):put_many {})
  end)

  it("says that a queue is full, until a job is reserved", function(store)
    local queue = store:queue("mail", { maxsize = 2 })
    queue:put "a"
    queue:put("b", { delay = 100 })
    assert.same({ nil, "full" }, { queue:put "c" })
    assert.equal("a", queue:reserve(0).body)
    assert.is_number(queue:put "c")
  end)

  it("puts all of many or none", function(store)
    local queue = store:queue("mail", { maxsize = 2 })
    assert.same({ nil, "full" }, { queue:put_many { "a", "b", "c" } })
    assert.equal(0, queue:stats().ready)
    assert.equal(0, queue:stats().puts)
    assert.equal(2, #queue:put_many { "a", "b" })
  end)

  it("lets what comes back into a full queue", function(store)
    local queue = store:queue("mail", { maxsize = 1, backoff = 0 })
    queue:put "a"
    local job = queue:reserve(0)
    queue:put "b"
    assert.is_true(job:nack())
    assert.equal(2, queue:stats().ready)
  end)

  it("keeps the queues of a store apart", function(store)
    local mail, news = store:queue "mail", store:queue "news"
    mail:put "m"
    news:put "n"
    assert.equal("n", news:reserve(0).body)
    assert.equal("m", mail:reserve(0).body)
    assert.same({ "mail", "news" }, store:queues())
  end)

  it("gives no two jobs the same id, in whatever queues", function(store)
    local mail, news = store:queue "mail", store:queue "news"
    local first = mail:put "m"
    assert.is_true(first < news:put "n")
    assert.same({ nil, "not_found" }, { news:cancel(first) })
  end)

  it("gives the same queue for the same name", function(store)
    assert.equal(store:queue "mail", store:queue "mail")
  end)

  it("keeps settings that are not given again", function(store)
    store:queue("mail", { maxsize = 1 })
    local queue = store:queue("mail", { lease = 5 })
    queue:put "a"
    assert.same({ nil, "full" }, { queue:put "b" })
    queue = store:queue("mail", { maxsize = 0 })
    assert.is_number(queue:put "b")
  end)
end)

engines.describe("unique", function(it)
  it("finds the job that is there", function(store)
    local queue = store:queue "mail"
    local id, found = queue:put("a", { unique = "k" })
    assert.is_nil(found)
    assert.same({ id, true }, { queue:put("b", { unique = "k" }) })
    assert.equal(1, queue:stats().puts)
    assert.equal("a", queue:reserve(0).body)
  end)

  it("finds it while it is leased, delayed or dead", function(store)
    local queue = store:queue "mail"
    local id = queue:put("a", { unique = "k", delay = 0.2 })
    assert.same({ id, true }, { queue:put("b", { unique = "k" }) })
    local job = queue:reserve()
    assert.same({ id, true }, { queue:put("b", { unique = "k" }) })
    job:bury()
    assert.same({ id, true }, { queue:put("b", { unique = "k" }) })
  end)

  it("is free again when the job is gone", function(store)
    local queue = store:queue "mail"
    queue:put("a", { unique = "k" })
    queue:reserve(0):ack()
    local id, found = queue:put("b", { unique = "k" })
    assert.is_number(id)
    assert.is_nil(found)
    queue:cancel(id)
    assert.is_nil(select(2, queue:put("c", { unique = "k" })))
  end)

  it("stays taken for unique_for, though the job is gone", function(store)
    local sluice = require "sluice"
    local queue = store:queue "mail"
    local id = queue:put("a", { unique = "k", unique_for = 0.5 })
    queue:reserve(0):ack()
    assert.same({ id, true }, { queue:put("b", { unique = "k" }) })
    sluice.sleep(0.6)
    assert.is_nil(select(2, queue:put("c", { unique = "k" })))
  end)

  it("is a matter of one queue", function(store)
    store:queue("mail"):put("a", { unique = "k" })
    local _, found = store:queue("news"):put("a", { unique = "k" })
    assert.is_nil(found)
  end)

  it("holds within one put_many", function(store)
    local queue = store:queue "mail"
    local ids, found = queue:put_many { { body = "a", unique = "k" },
      { body = "b", unique = "k" }, "c" }
    assert.equal(ids[1], ids[2])
    assert.same({ [2] = true }, found)
    assert.equal(2, queue:stats().ready)
  end)
end)
