package spec

import (
	"math"
	"time"

	"go.yaml.in/yaml/v3"
)

// requestLimits reads what a tenant lowers; the rest stays as it is in l.
func (d *decoder) requestLimits(n *yaml.Node, l *RequestLimits) {
	defer d.within("request_limits")()
	d.mapping(n, []field{
		lower(d, "max_body_size", d.bytes, &l.MaxBodySize),
		lower(d, "max_header_size", d.bytes, &l.MaxHeaderSize),
		lower(d, "max_headers", d.count, &l.MaxHeaders),
		lower(d, "max_url_size", d.length, &l.MaxURLSize),
	})
}

// luaLimits reads what a tenant lowers.
func (d *decoder) luaLimits(n *yaml.Node, l *LuaLimits) {
	defer d.within("lua")()
	d.mapping(n, []field{
		lower(d, "instructions", d.number, &l.Instructions),
		lower(d, "alloc_per_call", d.bytes, &l.AllocPerCall),
		lower(d, "timeout", d.span, &l.Timeout),
	})
}

// lower is the field of a limit that is the process's setting until read finds
// less. A setting of zero is no bound.
func lower[T int | int64 | time.Duration](d *decoder, key string, read func(*yaml.Node) (T, bool), into *T) field {
	return field{key, func(n *yaml.Node) {
		defer d.within("%s", key)()
		bound := *into
		v, ok := read(n)
		switch {
		case !ok:
		case v <= 0:
			d.failf(n, "remove the key for the gateway's own limit", "a limit of %v lets nothing through", v)
		case bound > 0 && v > bound:
			d.failf(n, "a tenant may only lower it", "%v is over the gateway's limit of %v", v, bound)
		default:
			*into = v
		}
	}}
}

// number reads any that is not negative.
func (d *decoder) number(n *yaml.Node) (int64, bool) { return d.integer(n, 0, math.MaxInt64) }

// count reads a number that fits an int on every platform.
func (d *decoder) count(n *yaml.Node) (int, bool) {
	v, ok := d.integer(n, 0, math.MaxInt32)
	return int(v), ok
}

// length reads a size that fits an int on every platform; a larger one is over
// any bound.
func (d *decoder) length(n *yaml.Node) (int, bool) {
	v, ok := d.bytes(n)
	return int(min(v, math.MaxInt32)), ok
}

// span reads any duration that is not negative.
func (d *decoder) span(n *yaml.Node) (time.Duration, bool) { return d.duration(n, 0, math.MaxInt64) }

// drainTimeout reads how long the tenant's exchanges may outlive it.
func (d *decoder) drainTimeout(n *yaml.Node, into *time.Duration, most time.Duration) {
	defer d.within("drain_timeout")()
	v, ok := d.span(n)
	switch {
	case !ok:
	case most > 0 && v > most:
		d.failf(n, "max_drain_timeout of the settings bounds it", "%v is over the gateway's limit of %v", v, most)
	default:
		*into = v
	}
}
