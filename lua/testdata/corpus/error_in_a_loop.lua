-- expect: kill
-- why: the interpreter writes the key into the message
local s = ("x"):rep(4e6) while true do pcall(function() local n return n[s] end) end
