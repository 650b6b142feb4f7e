-- Producer and consumer: two bakers put breads on one shelf, a queue, and
-- two eaters take them from it. The bakers are faster, so the shelf fills;
-- join waits until the last bread on it is eaten.
--
--   sluice examples/bread.lua
--   sluice examples/bread.lua --breads 3 --bake 2    # now the eaters wait
--
-- Options: --breads 6 of each baker, --bake 0.5 and --eat 1 seconds a bread.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  breads = 6, bake = 0.5, eat = 1,
}

local shelf = sluice.Queue()

local function bake(name)
  for n = 1, options.breads do
    sluice.sleep(options.bake)
    shelf:put(("%s's bread %d"):format(name, n))
    say("%s bakes bread %d, %d on the shelf", name, n, #shelf)
  end
end

local function eat(name)
  for bread in shelf do
    say("%s eats %s", name, bread)
    sluice.sleep(options.eat)
    shelf:task_done()
  end
end

local eaters = {
  sluice.create_task(eat, "Grace"),
  sluice.create_task(eat, "Lucy"),
}
sluice.gather {
  sluice.create_task(bake, "John"),
  sluice.create_task(bake, "Mike"),
}
say("the bakers go home")

shelf:join()
say("all breads are eaten")
for _, eater in ipairs(eaters) do eater:cancel() end
