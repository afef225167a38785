-- expect: error
-- why: the metatable of strings is out of reach
getmetatable("").__index = nil
