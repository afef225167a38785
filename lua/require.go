package lua

import (
	"fmt"
	"regexp"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// modules is what require has loaded into a state.
type modules struct {
	loaded map[string]glua.LValue // nil while loading
}

// require loads "shop.auth" from shop/auth.lua, once a state.
func require(s *state, L *glua.LState) int {
	name := stringArg(L, 1, "require")
	if s.phase != loading {
		L.RaiseError("require is only available while a script loads")
	}
	path, problem := modulePath(s.program.tenant, name)
	if problem != "" {
		L.RaiseError("require %q: %s", clip(name), problem)
	}
	value, seen := s.modules.loaded[path]
	if seen {
		if value == nil {
			L.RaiseError("require %q: it requires itself", name)
		}
		return push(L, value)
	}
	proto, err := s.program.file(path)
	switch {
	case err == nil:
	case err.Line == 0:
		L.RaiseError("require %q: %s", name, err.Error())
	default:
		L.Error(glua.LString(err.Error()), 0) // its own place, not the caller's
	}
	if s.modules.loaded == nil {
		s.modules.loaded = map[string]glua.LValue{}
	}
	s.modules.loaded[path] = nil
	value = call1(L, L.NewFunctionFromProto(proto), glua.LString(name))
	if value == glua.LNil {
		value = glua.LTrue
	}
	s.modules.loaded[path] = value
	return push(L, value)
}

// modulePath is the file of a module: of the tenant's own directory or lib.
func modulePath(tenant, name string) (path, problem string) {
	ok, err := regexp.MatchString(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$`, name)
	if err != nil || !ok || len(name) > 200 {
		return "", `a module is named like "shop.auth", for shop/auth.lua`
	}
	if first, _, _ := strings.Cut(name, "."); first != tenant && first != "lib" {
		return "", fmt.Sprintf("only modules of %s and lib can be required", tenant)
	}
	return strings.ReplaceAll(name, ".", "/") + ".lua", ""
}
