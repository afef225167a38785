-- expect: kill
-- why: concatenation recurses through its metamethod
local t t = setmetatable({}, {__concat = function(a, b) return t .. t end}) pcall(function() return t .. t end) while true do end
