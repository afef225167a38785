-- expect: kill
-- why: keys of the hash part cost ten times those of the array part
local t = {} for i = 1, 1e6 do t[i + 0.5] = i end
