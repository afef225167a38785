package lua

import (
	"fmt"
	"net/http"
	"net/textproto"

	glua "github.com/yuin/gopher-lua"
	"golang.org/x/net/http/httpguts"
)

// headerName checks the name of a header that a script sets and returns its
// canonical form. Those that frame a message or belong to one connection are
// not the script's (RFC 9110, 7.6.1), nor is Host, which has a field of its own.
func headerName(v glua.LValue) (name, problem string) {
	s, ok := v.(glua.LString)
	if !ok {
		return "", "a header name must be a string, got " + v.Type().String()
	}
	if !httpguts.ValidHeaderFieldName(string(s)) {
		return "", fmt.Sprintf("%q is no header name", clip(string(s)))
	}
	name = textproto.CanonicalMIMEHeaderKey(string(s))
	switch name {
	case "Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return "", "the header " + name + " cannot be set by a script"
	}
	return name, ""
}

// headerValue checks a value: a string or number without line breaks or NUL.
func headerValue(name string, v glua.LValue) (value, problem string) {
	value, ok := text(v)
	if !ok {
		return "", fmt.Sprintf("the header %s must be a string, got %s", name, v.Type())
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return "", fmt.Sprintf("the value of the header %s has control characters", name)
	}
	return value, ""
}

// maxHeaders bounds how many headers one table names.
const maxHeaders = 100

// headerTable reads a table of headers: a value is a string, a number, a list
// of them, or, where removing makes sense, false.
func headerTable(t *glua.LTable, removable bool) (set http.Header, remove []string, problem string) {
	set = http.Header{}
	n := 0
	t.ForEach(func(k, v glua.LValue) {
		if problem != "" {
			return
		}
		var name string
		if name, problem = headerName(k); problem != "" {
			return
		}
		if n++; n > maxHeaders {
			problem = fmt.Sprintf("more than %d headers", maxHeaders)
			return
		}
		if removable && v == glua.LFalse {
			remove = append(remove, name)
			return
		}
		values := []glua.LValue{v}
		if list, ok := v.(*glua.LTable); ok {
			values = values[:0]
			for i := 1; i <= min(list.Len(), maxHeaders); i++ {
				values = append(values, list.RawGetInt(i))
			}
		}
		for _, v := range values {
			var value string
			if value, problem = headerValue(name, v); problem != "" {
				return
			}
			set[name] = append(set[name], value)
		}
	})
	return set, remove, problem
}
