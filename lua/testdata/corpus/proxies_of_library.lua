-- expect: error
-- why: a library behind a metatable is read-only too
for k, v in pairs(setmetatable({}, {__index = string})) do end setmetatable({}, {__newindex = string}).x = 1
