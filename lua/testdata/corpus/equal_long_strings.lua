-- expect: kill
-- why: each comparison reads megabytes
local a, b = ("x"):rep(4e6), ("x"):rep(4e6) while true do local _ = a == b end
