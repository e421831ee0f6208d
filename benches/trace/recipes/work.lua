-- Work for the interpreter: tables, strings, closures, sorting, coroutines, errors. Arguments: how much.
local size = tonumber(arg[1]) or 1
local sum = 0
for round = 1, size do
  local words = {}
  for n = 1, 4000 do words[n] = string.format("%05d", (n * 7919 + round) % 4001) end
  table.sort(words, function(a, b) return a < b end)
  sum = sum + #table.concat(words, ",")
  for word in table.concat(words, " "):gmatch("%d+") do sum = sum + tonumber(word) % 7 end
  local generator = coroutine.wrap(function() for n = 1, 4000 do coroutine.yield(n) end end)
  for n = 1, 4000 do sum = sum + generator() end
  for n = 1, 4000 do
    local ok, why = pcall(function() if n % 2 == 0 then error("odd") end return n end)
    sum = sum + (ok and why or #why)
  end
end
print(sum)
