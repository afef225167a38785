-- expect: kill
-- why: each pcall that fails leaves its thread behind
while true do pcall(error) end
