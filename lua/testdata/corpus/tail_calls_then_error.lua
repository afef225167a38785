-- expect: error
-- why: a traceback of 5,000 tail calls would be made
local n = 0 local function f() n = n + 1 if n > 5000 then error("x") end return f() end f()
