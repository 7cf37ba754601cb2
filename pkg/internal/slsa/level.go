// Package slsa knows the levels that SLSA names, and which of them imply which
// (https://slsa.dev/spec/v1.1/verification_summary#slsaresult).
package slsa

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Failed stands in the place of a level when verification failed.
const Failed = "FAILED"

// reserved is the beginning of the names that are SLSA's own.
const reserved = "SLSA_"

// level is the form of SLSA's own names: a track, and a number in it.
var level = regexp.MustCompile(`^(SLSA_[A-Z0-9]+(?:_[A-Z0-9]+)*)_LEVEL_([0-9]{1,3}|UNEVALUATED)$`)

// Track returns the track of a level of SLSA's own, such as SLSA_BUILD, and the
// number of the level in it; -1 for one that was not evaluated. It reports false
// for every other name.
func Track(name string) (track string, number int, ok bool) {
	m := level.FindStringSubmatch(name)
	if m == nil {
		return "", 0, false
	}
	number, err := strconv.Atoi(m[2])
	if err != nil {
		number = -1
	}
	return m[1], number, true
}

// Check says why name is no level that somebody may reach.
func Check(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("a level is empty")
	case name == Failed:
		return fmt.Errorf("%s is no level: it says that verification failed", Failed)
	case strings.HasPrefix(name, reserved) && !level.MatchString(name):
		return fmt.Errorf("level %q: names that begin with %s are SLSA's own, such as SLSA_BUILD_LEVEL_2", name, reserved)
	}
	return nil
}

// Meets reports whether somebody with the levels have has reached want: it is one
// of them, or of its track a higher one is, which implies it. A level that was not
// evaluated implies nothing and is implied by nothing.
func Meets(have []string, want string) bool {
	if slices.Contains(have, want) {
		return true
	}
	track, number, ok := Track(want)
	if !ok || number < 0 {
		return false
	}
	return slices.ContainsFunc(have, func(h string) bool {
		t, n, ok := Track(h)
		return ok && t == track && n >= number
	})
}
