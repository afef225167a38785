package spec

import (
	"math"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes with a unit: 512B, 10KB (10,000), 16MiB
// (16,777,216), GB, GiB, or without one.
func ParseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BKMGi")
	n, err := strconv.ParseInt(digits, 10, 64)
	factor, known := unit(s[len(digits):])
	if err != nil || n < 0 || digits[0] == '+' || !known {
		return 0, flawf("a number of bytes, or with KB, MB, GB, KiB, MiB or GiB", "%q is not a size", s)
	}
	if n > math.MaxInt64/factor {
		return 0, flawf("", "%s is too large", s)
	}
	return n * factor, nil
}

// unit is the number of bytes in one of a unit.
func unit(name string) (int64, bool) {
	switch name {
	case "", "B":
		return 1, true
	case "KB":
		return 1e3, true
	case "MB":
		return 1e6, true
	case "GB":
		return 1e9, true
	case "KiB":
		return 1 << 10, true
	case "MiB":
		return 1 << 20, true
	case "GiB":
		return 1 << 30, true
	}
	return 0, false
}
