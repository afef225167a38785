//go:build race

package lua

// slowdown is how many times longer the race detector may make a script take.
const slowdown = 20
