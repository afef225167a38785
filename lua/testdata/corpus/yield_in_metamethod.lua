-- expect: any
-- why: yielding through the interpreter itself
local co = coroutine.wrap(function() local t = setmetatable({}, {__index = function() coroutine.yield(1) end}) return t.x end) co() return co()
