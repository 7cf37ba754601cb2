package promotion

import (
	"regexp"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
)

var durationPattern = regexp.MustCompile(`^[1-9][0-9]{0,5}[dhm]$`)

// ParseDuration reads a whole number of days, hours or minutes: 90d, 12h, 30m. It
// reports false for anything else.
func ParseDuration(s string) (time.Duration, bool) {
	if !durationPattern.MatchString(s) {
		return 0, false
	}
	last := len(s) - 1
	count, err := strconv.Atoi(s[:last])
	if err != nil {
		return 0, false
	}
	return time.Duration(count) * map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute}[s[last]], true
}

// duration is what [ParseDuration] reads.
type duration struct{ value time.Duration }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *duration) UnmarshalYAML(n ast.Node) error {
	var t text
	if err := t.UnmarshalYAML(n); err != nil {
		return err
	}
	var ok bool
	if d.value, ok = ParseDuration(t.value); !ok {
		return &Error{Line: t.line, Message: "renew " + strconv.Quote(t.value) + " must be a duration of days, hours or minutes, such as 90d, 12h or 30m"}
	}
	return nil
}
