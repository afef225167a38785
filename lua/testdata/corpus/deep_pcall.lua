-- expect: any
-- why: protected calls within one another
local function f() return pcall(f) end return f()
