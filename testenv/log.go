package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// Event is one line of a gateway's log. Numbers are json.Number.
type Event map[string]any

// Text is the value of an attribute as text, "" when it is absent.
func (e Event) Text(key string) string {
	if value, ok := e[key]; ok {
		return fmt.Sprint(value)
	}
	return ""
}

// Holding is an expected attribute that need only be part of the value.
type Holding string

// is says whether e has the message and every attribute of the pairs in attrs.
func (e Event) is(msg string, attrs []any) bool {
	if e["msg"] != msg {
		return false
	}
	for i := 0; i+1 < len(attrs); i += 2 {
		got := e.Text(fmt.Sprint(attrs[i]))
		if part, ok := attrs[i+1].(Holding); ok {
			if !strings.Contains(got, string(part)) {
				return false
			}
		} else if got != fmt.Sprint(attrs[i+1]) {
			return false
		}
	}
	return true
}

// Mark is a place in a log: the number of events before it.
type Mark int

// Log collects what a gateway writes to standard error and lets a test wait for
// it. Lines that are no JSON objects are kept apart. Safe for concurrent use.
type Log struct {
	mu     sync.Mutex
	events []Event
	talk   []string      // lines that are no events
	rest   []byte        // of a line that has no end yet
	grown  chan struct{} // closed, and made anew, whenever a line comes
}

func newLog() *Log { return &Log{grown: make(chan struct{})} }

// Write takes the next bytes of the stream.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	came := false
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			break
		}
		l.take(line)
		l.rest, came = rest, true
	}
	if came {
		close(l.grown)
		l.grown = make(chan struct{})
	}
	return len(p), nil
}

// take files one line. mu is held.
func (l *Log) take(line []byte) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var event Event
	if err := decoder.Decode(&event); err != nil {
		l.talk = append(l.talk, string(line))
		return
	}
	l.events = append(l.events, event)
}

// Mark is the present end of the log.
func (l *Log) Mark() Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Mark(len(l.events))
}

// Talk returns the lines that are not events.
func (l *Log) Talk() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.talk...)
}

// Find lists the events after from that have the message and the attributes,
// given as pairs of key and value.
func (l *Log) Find(from Mark, msg string, attrs ...any) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Event
	for _, event := range l.events[from:] {
		if event.is(msg, attrs) {
			found = append(found, event)
		}
	}
	return found
}

// Wait returns the first event after from that Find would find, as soon as
// there is one. The error is that of ctx.
func (l *Log) Wait(ctx context.Context, from Mark, msg string, attrs ...any) (event Event, err error) {
	err = l.until(ctx, func() bool {
		if found := l.Find(from, msg, attrs...); len(found) > 0 {
			event = found[0]
		}
		return event != nil
	})
	return event, err
}

// until asks done now and after each new line, until it says yes.
func (l *Log) until(ctx context.Context, done func() bool) error {
	for {
		l.mu.Lock()
		grown := l.grown
		l.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tail renders the last events but those of single requests, for the message
// of a failed test.
func (l *Log) tail(most int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := append([]string(nil), l.talk...)
	for _, event := range l.events {
		if event["msg"] == "request" {
			continue
		}
		line, err := json.Marshal(event)
		if err != nil {
			continue // it was decoded from JSON
		}
		lines = append(lines, string(line))
	}
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
