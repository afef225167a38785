package spec_test

import (
	"testing"

	"keystone-gateway/spec"
)

func TestParseSize(t *testing.T) {
	good := map[string]int64{
		"0": 0, "7": 7, "7B": 7, "2KB": 2000, "2KiB": 2048, "16MiB": 16 << 20, "3MB": 3_000_000,
		"1GB": 1_000_000_000, "8GiB": 8 << 30, "9223372036854775807": 9223372036854775807,
	}
	for s, want := range good {
		if got, err := spec.ParseSize(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "B", "MiB", "-1", "+1", "1.5MiB", "1 MiB", "1mib", "1K", "1MiBB", "1iB", "1TiB", "1_000", "0x10",
		"9223372036854775808", "9223372036854775807KB", "8589934592GiB",
	} {
		if got, err := spec.ParseSize(s); err == nil {
			t.Errorf("%q is taken as %d", s, got)
		}
	}
}
