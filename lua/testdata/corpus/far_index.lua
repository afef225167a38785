-- expect: kill
-- why: an index far past the end fills everything up to it
local keep = {} for i = 1, 1e6 do local t = {} t[200000] = 1 keep[i] = t end
