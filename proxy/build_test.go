package proxy

import (
	"testing"

	"keystone-gateway/lua"
	"keystone-gateway/spec"
)

func TestOnlyWhatIsNoFaultOfTheTenantIsTransient(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		kinds []lua.Kind
		want  bool
	}{
		{"no state was free", []lua.Kind{lua.KindBusy}, true},
		{"the build was given up", []lua.Kind{lua.KindCanceled}, true},
		{"a script is wrong", []lua.Kind{lua.KindScript}, false},
		{"a script loops", []lua.Kind{lua.KindBudget}, false},
		{"one of each", []lua.Kind{lua.KindBusy, lua.KindScript}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failure := &lua.Failure{}
			for _, kind := range tt.kinds {
				failure.Errors = append(failure.Errors, &lua.Error{Kind: kind, Msg: "m"})
			}
			if got := scriptsFailed(&spec.Tenant{Name: "shop"}, &spec.Input{}, failure).Transient; got != tt.want {
				t.Errorf("transient is %t, want %t", got, tt.want)
			}
		})
	}
}
