-- expect: kill
-- why: the first named field makes two maps
local t = {} while true do local n = {} n.a = t t = n end
