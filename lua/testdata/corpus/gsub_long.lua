-- expect: error
-- why: a substitution is as much work as its subject is long
return (("x"):rep(600000):gsub("x", "xx"))
