-- Middleware for any tenant: functions that make functions for `use`.
local guard = {}

-- guard.user_agent refuses clients whose User-Agent contains one of the words.
function guard.user_agent(words)
  return function(req)
    local agent = (req.headers["User-Agent"] or ""):lower()
    for _, word in ipairs(words) do
      if agent:find(word, 1, true) then return 403, "not for robots\n" end
    end
  end
end

return guard
