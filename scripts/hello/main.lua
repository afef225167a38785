-- hello answers by itself: no server stands behind it.

local function greet(name)
  return 200, "Hello, " .. name .. "!\n"
end

keystone.get("/", function(req)
  return greet(req.query.name or "world")
end)

keystone.get("/{name}", function(req)
  return greet(req.params.name)
end)

keystone.post("/echo", function(req)
  return 200, req:body(4096)
end)

keystone.not_found(function(req)
  return 404, "nothing to greet at " .. req.path .. "\n"
end)
