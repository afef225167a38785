-- expect: error
-- why: yielding through a native function corrupts the interpreter
local co = coroutine.wrap(function() table.sort({3, 2, 1}, function() coroutine.yield() end) end) co()
