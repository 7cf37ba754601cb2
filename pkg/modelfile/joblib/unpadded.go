package joblib

import (
	"context"
	"regexp"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// readUnpadded reads c as joblib before 1.2 does, which knows no padding and takes it for
// the begin of the data: from the first array on it is at another place than later
// versions, so that the end of the data is opcodes to it. Of honest files that is the end
// of a number, which is no opcode, or does nothing to speak of; a file can be made in
// which it is a call.
//
// padding is where the first padding is. What lies before was read.
func readUnpadded(ctx context.Context, c hazard.Content, o pickle.Options, padding int64, report hazard.Report) error {
	s := &scanner{places: map[pickle.Identity]int{}, unpadded: true}
	o.Build, o.Visit = s.built, nil
	_, err := pickle.Scan(ctx, c, o, func(f hazard.Finding) {
		if f.Offset <= padding || !counts(f) {
			return
		}
		f.Message = "joblib before 1.2, which knows no padding before arrays, takes the end of an array for opcodes: " + f.Message
		report(f)
	})
	return err
}

// counts tells what numbers that are read as opcodes come to by chance, which makes a
// loader stop, from what somebody has put there. What runs something has to name it, by a
// name that Python has, or is where this reader cannot follow.
func counts(f hazard.Finding) bool {
	switch f.Rule {
	case "pickle-dangerous-global", "pickle-unknown-global", "pickle-dotted-name", "pickle-dunder-name":
		return names.MatchString(f.Subject)
	case "pickle-computed-name":
		// What a call returned can be a text, and the names of attributes of attributes be
		// too long to be kept; numbers are no names.
		return f.Subject == "" || f.Subject == "a text" || strings.HasPrefix(f.Subject, "what ")
	case "pickle-load-from-bytes", "pickle-global-changed", "pickle-limit", "pickle-array-unread":
		return true
	}
	return false
}

// names are modules with what they have, and attributes.
var names = regexp.MustCompile(`^[A-Za-z_][0-9A-Za-z_]*([.:][A-Za-z_][0-9A-Za-z_]*)*$`)
