-- expect: error
-- why: an error leaves a native function by a panic
table.sort({3, 2, 1}, function() error("x") end)
