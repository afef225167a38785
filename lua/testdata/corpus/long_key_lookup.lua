-- expect: kill
-- why: each lookup hashes megabytes
local s = ("x"):rep(4e6) local t = {a = 1} t[s] = 1 while true do local _ = t[s] end
