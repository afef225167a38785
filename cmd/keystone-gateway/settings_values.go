package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/spec"
)

// text is a value from outside the file, where every value is a string: it is
// read as what the key wants. In the file a value has the type it is written
// in, and no other is taken for it.
type text string

// decodeValue sets field to raw, exactly: no number for a string, no bare
// number for a duration.
func decodeValue(raw any, field reflect.Value) error {
	switch target := field.Addr().Interface().(type) {
	case *string:
		return set(target, raw, asString)
	case *bool:
		return set(target, raw, asBool)
	case *int:
		return set(target, raw, asCount[int])
	case *int64:
		return set(target, raw, asCount[int64])
	case *time.Duration:
		return set(target, raw, asDuration)
	case *daemon.Bytes:
		return set(target, raw, asBytes)
	case *[]string:
		return set(target, raw, asStrings)
	default:
		panic(fmt.Sprintf("settings: no way to read a %T", target)) // a field of a new type, met by every test
	}
}

// set stores what read makes of raw, unless it refuses.
func set[T any](target *T, raw any, read func(any) (T, error)) error {
	value, err := read(raw)
	if err != nil {
		return err
	}
	*target = value
	return nil
}

func asString(raw any) (string, error) {
	switch v := raw.(type) {
	case text:
		return string(v), nil
	case string:
		return v, nil
	default:
		return "", fmt.Errorf("expected text, got %s: put it in quotes", describe(raw))
	}
}

func asBool(raw any) (bool, error) {
	switch v := raw.(type) {
	case bool:
		return v, nil
	case text:
		if v == "true" || v == "false" {
			return v == "true", nil
		}
	}
	return false, fmt.Errorf("expected true or false, got %s", describe(raw))
}

func asCount[T int | int64](raw any) (T, error) {
	switch v := raw.(type) {
	case int:
		return T(v), nil
	case text:
		if n, err := strconv.ParseInt(string(v), 10, strconv.IntSize); err == nil {
			return T(n), nil
		}
	}
	return 0, fmt.Errorf("expected a whole number, got %s", describe(raw))
}

func asDuration(raw any) (time.Duration, error) {
	s, ok := raw.(string)
	if t, outside := raw.(text); outside {
		s, ok = string(t), true
	}
	if ok {
		if d, err := time.ParseDuration(s); err == nil && s != "0" {
			return d, nil
		}
	}
	return 0, fmt.Errorf(`expected a duration with its unit, such as "30s" or "250ms", got %s`, describe(raw))
}

func asBytes(raw any) (daemon.Bytes, error) {
	switch v := raw.(type) {
	case int:
		return daemon.Bytes(v), nil
	case string:
		n, err := spec.ParseSize(v)
		return daemon.Bytes(n), err
	case text:
		return asBytes(string(v))
	default:
		return 0, fmt.Errorf(`expected a size such as 65536 or "16MiB", got %s`, describe(raw))
	}
}

func asStrings(raw any) ([]string, error) {
	switch v := raw.(type) {
	case text:
		parts := strings.Split(string(v), ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts, nil
	case []any:
		list := make([]string, len(v))
		for i, item := range v {
			s, err := asString(item)
			if err != nil {
				return nil, fmt.Errorf("item %d: %w", i+1, err)
			}
			list[i] = s
		}
		return list, nil
	default:
		return nil, fmt.Errorf("expected a list, got %s", describe(raw))
	}
}

// describe names a value for someone who wrote it in YAML.
func describe(raw any) string {
	switch v := raw.(type) {
	case text:
		return strconv.Quote(string(v))
	case string:
		return strconv.Quote(v)
	case bool:
		return fmt.Sprintf("%t", v)
	case int, int64, uint64, float64:
		return fmt.Sprintf("the number %v", v)
	case map[string]any:
		return "keys below it"
	case []any:
		return "a list"
	case nil:
		return "nothing"
	default:
		return fmt.Sprintf("%v", v)
	}
}
