//go:build !linux

package lua

import "time"

// threadTime stands in for a thread's processor time where there is no clock
// for it: the wall clock, which is never less.
func threadTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
