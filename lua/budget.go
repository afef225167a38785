package lua

import (
	"context"
	"runtime"
	"time"

	glua "github.com/yuin/gopher-lua"
)

const (
	// window is how many instructions may run between two looks at the clocks.
	// One instruction can cost milliseconds (comparing two long strings), so it
	// is small; a look costs some 50 ns.
	window = 64
	// slow is how long a window may take before the next one is a single
	// instruction.
	slow = 200 * time.Microsecond
	// suspicious is the wall clock after which a call's processor time is
	// watched as well. Ordinary calls never pay for that.
	suspicious = 20 * time.Millisecond
	// nsPerInstruction bounds processor time by the instruction limit: several
	// times what an ordinary instruction costs. It ends scripts whose
	// instructions are extraordinary, and unlike a wall clock it does not end
	// scripts because a machine is busy.
	nsPerInstruction = 150

	maxString = 4 << 20 // bytes of one string
)

// budget is what one call, or one load, may use. It is the interpreter's
// context: gopher-lua asks Done before each instruction, which makes Done the
// instruction counter. Once spent it stays spent, so that every further
// instruction of every frame and coroutine fails and nothing survives in a
// pcall. Used by one goroutine at a time.
type budget struct {
	failure *Error // why the call is over; nil while it is not

	left, granted int64 // instructions of the present window
	used, limit   int64 // instructions in windows past; all there are
	alloc         int64 // bytes natives may still make

	start   time.Time
	looked  time.Duration // since start, at the last look
	timeout time.Duration
	cpu     time.Duration // processor time allowed once watched
	watched bool          // the goroutine is locked to its thread
	cpuFrom time.Duration // the thread's processor time when watching began

	caller     <-chan struct{} // the caller's context, asked at each look
	exhausted  chan struct{}   // closed: what Done returns once spent
	coroutines int             // made by this call
	logged     int             // lines logged by this call
	depth      int             // protected calls and resumed coroutines in progress
}

// begin makes the budget fresh. The caller ends it with end.
func (b *budget) begin(ctx context.Context, instructions, alloc int64, timeout time.Duration) {
	exhausted := b.exhausted
	if exhausted == nil {
		exhausted = make(chan struct{})
		close(exhausted)
	}
	*b = budget{
		limit:     instructions,
		alloc:     alloc,
		start:     time.Now(),
		timeout:   timeout,
		cpu:       time.Duration(instructions) * nsPerInstruction,
		caller:    ctx.Done(),
		exhausted: exhausted,
	}
	b.grant(window)
}

// end gives back what watching took.
func (b *budget) end() {
	if b.watched {
		b.watched = false
		runtime.UnlockOSThread()
	}
	b.caller = nil
}

// Done is called by the interpreter before each instruction.
func (b *budget) Done() <-chan struct{} {
	if b.left > 0 {
		b.left--
		return nil
	}
	if b.look(); b.failure != nil {
		return b.exhausted
	}
	b.left--
	return nil
}

// Err is what the interpreter raises once Done is closed.
func (b *budget) Err() error {
	if b.failure == nil {
		return nil
	}
	return b.failure
}

// Deadline and Value complete context.Context; the interpreter asks neither.
func (b *budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value knows nothing.
func (b *budget) Value(any) any { return nil }

// spend ends the call for good.
func (b *budget) spend(kind Kind, msg string, cause error) {
	if b.failure == nil {
		b.failure = &Error{Kind: kind, Msg: msg, Err: cause}
	}
	b.left = 0
}

// grant opens a window of up to n instructions.
func (b *budget) grant(n int64) {
	b.granted = min(n, b.limit-b.used)
	b.left = b.granted
}

// look closes a window: it counts it, asks the clocks and the caller, and
// opens the next or spends the budget.
func (b *budget) look() {
	if b.failure != nil {
		return
	}
	b.used += b.granted - b.left
	b.granted, b.left = 0, 0
	if b.used >= b.limit {
		b.spend(KindBudget, "over the limit of instructions", nil)
		return
	}
	now := time.Since(b.start)
	took := now - b.looked
	b.looked = now
	if now > b.timeout {
		b.spend(KindBudget, "over the limit of wall clock time", nil)
		return
	}
	select {
	case <-b.caller:
		b.spend(KindCanceled, "the request ended", nil)
		return
	default:
	}
	if b.watched {
		if threadTime()-b.cpuFrom > b.cpu {
			b.spend(KindBudget, "over the limit of processor time", nil)
			return
		}
	} else if now > suspicious {
		b.watched = true
		runtime.LockOSThread()
		b.cpuFrom = threadTime()
	}
	if took > slow {
		b.grant(1)
		return
	}
	b.grant(window)
}

// take charges n bytes and reports whether there were so many left.
func (b *budget) take(n int) bool {
	if b.alloc -= int64(n); b.alloc < 0 {
		b.spend(KindBudget, "over the limit of memory", nil)
	}
	return b.failure == nil
}

// The natives' side of the budget. Each ends the script when there is too
// little left; none returns then.

// step charges a native function's own work, in instructions.
func (s *state) step(L *glua.LState, n int) {
	s.budget.left -= int64(n)
	if s.budget.left < 0 {
		s.budget.look()
		s.mustRun(L)
	}
}

// alloc charges n bytes before they are made.
func (s *state) alloc(L *glua.LState, n int) {
	if !s.budget.take(n) {
		s.mustRun(L)
	}
}

// str charges a string of n bytes before it is made: its memory, and the time
// to fill it.
func (s *state) str(L *glua.LState, n int) {
	if n > maxString {
		s.budget.spend(KindBudget, "a string over 4 MiB", nil)
	}
	s.alloc(L, n+32)
	s.step(L, n/256)
}

// mustRun raises when the budget is spent.
func (s *state) mustRun(L *glua.LState) {
	if s.budget.failure != nil {
		L.RaiseError("%s", s.budget.failure.Msg)
	}
}
