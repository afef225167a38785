package daemon

import (
	"context"
	"errors"
	"log/slog"

	"keystone-gateway/lua"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/reloader"
	"keystone-gateway/repo"
)

// Check takes the tree that s names through the same code as Run, up to where
// it would be swapped in, as from nothing. The caller discards the candidate.
func Check(ctx context.Context, s Settings, log *slog.Logger) (_ *repo.Snapshot, _ *reloader.Candidate, err error) {
	source, err := openSource(s, log)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	snapshot, err := source.Fetch(ctx)
	if err != nil {
		return nil, nil, err
	}
	registry := upstream.NewRegistry(upstream.Options{Log: log})
	defer func() { err = errors.Join(err, registry.Close()) }()
	builder := NewBuilder(s, registry, lua.NewStates(s.Lua.MaxStatesTotal), nil, log)
	in := s.Input()
	in.FS, in.Hashes, in.Refused = snapshot.FS, snapshot.Hashes, snapshot.Refused
	candidate, err := reloader.Build(ctx, builder, &in, nil, false)
	return snapshot, candidate, err
}
