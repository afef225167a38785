-- expect: kill
-- why: tail calls never overflow the stack
local function f() return f() end f()
