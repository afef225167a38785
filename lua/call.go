package lua

import (
	"context"

	glua "github.com/yuin/gopher-lua"
)

const (
	callsAState = 10_000 // after which a state is renewed: deleted table keys are never freed
	allocAState = 2      // calls' worth of memory after which it is renewed: scripts may have kept it
)

// worn tells whether the state should be renewed.
func (s *state) worn() bool {
	return s.calls >= callsAState || s.made > allocAState*s.program.limits.Alloc
}

// call runs chain until a function answers. After an error the state must not
// be used again.
func (s *state) call(ctx context.Context, chain Chain, r *Request) (d Decision, failed *Error) {
	limits := s.program.limits
	s.calls++
	s.budget.begin(ctx, limits.Instructions, limits.Alloc, limits.Timeout)
	s.request = s.newRequest(r)
	defer func() {
		s.request.dead = true
		s.request = nil
		s.coroutines.forget()
		s.made += limits.Alloc - max(s.budget.alloc, 0)
		s.budget.end()
	}()
	for _, n := range chain {
		if n < 0 || int(n) >= len(s.registration.functions) {
			return d, &Error{Msg: "a function that was not registered"}
		}
		f := s.registration.functions[n]
		var answered bool
		failed = s.run(ctx, f.fn, func() *Error {
			var problem string
			if d, answered, problem = s.answer(); problem == "" && !answered && f.handler {
				problem = "handler returned no response"
			}
			if problem != "" {
				return defined(f.fn, problem)
			}
			return nil
		}, &s.request.object)
		if failed != nil {
			return Decision{}, failed
		}
		if answered {
			return d, nil
		}
	}
	return Decision{Action: Next, Retries: -1}, nil
}

// defined places a problem with what fn returned where fn is defined.
func defined(fn *glua.LFunction, problem string) *Error {
	if fn.IsG {
		return &Error{Msg: problem}
	}
	return &Error{File: fn.Proto.SourceName, Line: fn.Proto.LineDefined, Msg: problem}
}
