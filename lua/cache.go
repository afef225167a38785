package lua

import (
	"sync"

	glua "github.com/yuin/gopher-lua"
)

// cacheBytes bounds a cache by the size of the sources it holds.
const cacheBytes = 64 << 20

// Cache holds compiled prototypes by path and content hash, so that a file
// which many tenants require is compiled once. Prototypes are immutable and
// shared by all states. Safe for concurrent use.
type Cache struct {
	mu     sync.Mutex
	protos map[cacheKey]cached
	bytes  int
}

// cacheKey has the path because a prototype carries it in its error positions.
type cacheKey struct{ path, hash string }

type cached struct {
	proto *glua.FunctionProto
	size  int
}

// NewCache makes an empty one.
func NewCache() *Cache { return &Cache{protos: map[cacheKey]cached{}} }

// proto returns the prototype of a file, compiling it when it is not there. A
// nil cache compiles always.
func (c *Cache) proto(path, hash string, data []byte) (*glua.FunctionProto, *Error) {
	if c == nil {
		return compile(path, data)
	}
	key := cacheKey{path, hash}
	c.mu.Lock()
	hit, ok := c.protos[key]
	c.mu.Unlock()
	if ok {
		return hit.proto, nil
	}
	proto, err := compile(path, data)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if hit, ok := c.protos[key]; ok {
		return hit.proto, nil
	}
	c.protos[key] = cached{proto, len(data)}
	c.bytes += len(data)
	for k, v := range c.protos { // any but the newest: what is in use is held by its programs
		if c.bytes <= cacheBytes {
			break
		}
		if k != key {
			delete(c.protos, k)
			c.bytes -= v.size
		}
	}
	return proto, nil
}
