package option

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Size is a number of bytes, which people write with a unit.
type Size int64

var sizePattern = regexp.MustCompile(`^([0-9]{1,18})([KMGT]i?B|B)?$`)

var sizeUnits = map[string]int64{
	"": 1, "B": 1,
	"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// String implements pflag.Value.
func (s *Size) String() string {
	if *s == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Set implements pflag.Value.
func (s *Size) Set(v string) error {
	m := sizePattern.FindStringSubmatch(v)
	if m == nil {
		return fmt.Errorf("%q is no size such as 4GiB or 25GB", v)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := sizeUnits[m[2]]
	if err != nil || n < 1 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is no size that there can be", v)
	}
	*s = Size(n * unit)
	return nil
}

// Type implements pflag.Value.
func (*Size) Type() string { return "SIZE" }
