-- What is particular about calls in the interpreter: errors from everywhere, coroutines, stacks that overflow, collection.
local function fails(level) if level == 0 then error({code = 7}) end return fails(level - 1) end
local ok, why = pcall(fails, 20)
assert(not ok and why.code == 7)
ok, why = xpcall(function() local nothing; return nothing.field end, debug.traceback)
assert(not ok and why:find("traceback"))
ok, why = pcall(string.rep, "x", -1)
assert(ok and why == "")
ok, why = pcall(string.rep)
assert(not ok and why:find("bad argument"))
local function endless() return 1 + endless() end
ok, why = pcall(endless)
assert(not ok and tostring(why):find("overflow"))
ok, why = pcall(function() local text = "a"; return text:gsub(".", function() error("inside") end) end)
assert(not ok and why:find("inside"))
ok, why = pcall(table.sort, {3, 1, 2}, function() error("compare") end)
assert(not ok and why:find("compare"))
local steps = {}
local worker = coroutine.create(function(a)
  local b = coroutine.yield(a + 1)
  pcall(function() steps[#steps + 1] = coroutine.yield(b * 2); error("late") end)
  error("ends")
end)
assert(select(2, coroutine.resume(worker, 1)) == 2 and select(2, coroutine.resume(worker, 5)) == 10)
ok, why = coroutine.resume(worker, "kept")
assert(not ok and why:find("ends") and steps[1] == "kept" and coroutine.status(worker) == "dead")
local closed = {}
do
  local resource <close> = setmetatable({}, {__close = function() closed[#closed + 1] = true end})
end
assert(#closed == 1)
local weak = setmetatable({}, {__mode = "k"})
for n = 1, 200 do weak[setmetatable({}, {__gc = function() end})] = n end
collectgarbage() collectgarbage()
assert(next(weak) == nil)
local chunk = assert(load("return function(...) return select('#', ...) end"))
assert(chunk()(nil, nil, 1) == 3 and not load("x = = 1"))
assert(load(string.dump(function() return 42 end))() == 42)
print("lua agrees", string.format("%5.2f %q", 3.14159, "quoted\n"), #string.pack("i4s2", 7, "text"))
