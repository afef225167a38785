package spec

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

// TestEveryFieldIsHashed walks the types that a tenant is made of. Every field
// is part of the hash but those that only say where a thing stands: a new one
// that is kept out of the JSON fails here.
func TestEveryFieldIsHashed(t *testing.T) {
	hashed(t, reflect.TypeFor[Tenant](), []string{"Tenant.File", "Tenant.Place", "Tenant.Hash", "Upstream.Place", "Route.Place"})
}

func TestTheHashIsOfWhatATenantSays(t *testing.T) {
	with := func(change func(*Tenant)) *Tenant {
		t := &Tenant{Name: "a", Upstreams: map[string]*Upstream{"u": {Name: "u"}}, Routes: []Route{{Path: "/"}}}
		change(t)
		return t
	}
	plain := with(func(*Tenant) {}).hash()
	moved := with(func(t *Tenant) {
		t.File, t.Place, t.Hash = "a.yaml", Place{1, 2}, "a"
		t.Upstreams["u"].Place, t.Routes[0].Place = Place{3, 4}, Place{5, 6}
	})
	if moved.hash() != plain {
		t.Error("where a tenant stands is part of its hash")
	}
	for name, change := range map[string]func(*Tenant){
		"a domain":    func(t *Tenant) { t.Domains = []string{"a.example"} },
		"a weight":    func(t *Tenant) { t.Upstreams["u"].Servers = []Server{{Weight: 2}} },
		"a body":      func(t *Tenant) { t.Routes[0].Respond = &Respond{Body: "a"} },
		"a limit":     func(t *Tenant) { t.Lua.Instructions = 1 },
		"a check":     func(t *Tenant) { t.Upstreams["u"].HealthCheck = &HealthCheck{} },
		"a long wait": func(t *Tenant) { t.DrainTimeout = 1 },
	} {
		if with(change).hash() == plain {
			t.Errorf("%s is no part of the hash", name)
		}
	}
}

// hashed walks a type and what it is made of.
func hashed(t *testing.T, typ reflect.Type, outside []string) {
	t.Helper()
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		hashed(t, typ.Elem(), outside)
		return
	case reflect.Interface, reflect.Func, reflect.Chan:
		t.Errorf("%s cannot be hashed", typ)
	}
	if typ.Implements(reflect.TypeFor[json.Marshaler]()) {
		t.Errorf("%s chooses what is hashed of it", typ)
	}
	if typ.Kind() != reflect.Struct {
		return
	}
	for field := range typ.Fields() {
		name := typ.Name() + "." + field.Name
		tag, tagged := field.Tag.Lookup("json")
		switch out := slices.Contains(outside, name); {
		case out && tag != "-":
			t.Errorf("%s is part of the hash", name)
		case out:
		case tagged || !field.IsExported():
			t.Errorf("%s is no part of the hash, or only sometimes", name)
		default:
			hashed(t, field.Type, outside)
		}
	}
}
