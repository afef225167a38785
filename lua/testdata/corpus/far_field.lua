-- expect: kill
-- why: a constructor fills up to its largest index too
local keep = {} for i = 1, 1e6 do keep[i] = {[200000] = 1} end
