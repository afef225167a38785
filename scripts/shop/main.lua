-- shop puts a few rules in front of its servers. What no route here takes goes
-- to them as it came.
local guard = require "lib.guard"

-- Runs before every request of the tenant. Returning nothing means: go on.
keystone.use(guard.user_agent { "badbot", "scraper" })
keystone.use(function(req)
  req.headers["X-Tenant"] = req.tenant -- what is set here, the server sees
end)

keystone.get("/about", function()
  return 200, "A shop behind a gateway.\n"
end)

keystone.get("/basket", function()
  return keystone.redirect("/cart", 308)
end)

keystone.group("/items", function(g)
  g.get("/{id:[0-9]+}", function(req)
    return keystone.proxy("default", { path = "/catalogue/" .. req.params.id })
  end)
end)
