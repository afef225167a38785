-- expect: ok:1,2
-- why: a closure made before a failing pcall keeps its variable (gopher-lua issue 448)
local n = 0
local function count() n = n + 1 return n end
pcall(function() error('x') end)
local first = count()
count()
return first, n
