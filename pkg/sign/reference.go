package sign

import (
	"fmt"
	"regexp"

	"github.com/modseal/modseal/pkg/internal/redact"
)

// schemes are those of RFC 3986 with an authority; pkcs11 has none (RFC 7512).
// With capital letters it is one, too: as the name of a file that is not there, it
// would be shown with its PIN.
var schemes = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*://|(?i:pkcs11):)`)

// IsReference reports whether s names a key that is in no file, such as
// awskms://… or pkcs11:… . A reference that no store knows is one, too, so that
// it is refused and not looked for as a file.
func IsReference(s string) bool { return schemes.MatchString(s) }

// ReferenceError says that the key that a reference names cannot be used.
type ReferenceError struct {
	Reference string // without secrets
	Next      string // what to do
	Err       error
}

// NewReferenceError returns the error about reference, without its secrets.
func NewReferenceError(reference, next string, err error) *ReferenceError {
	return &ReferenceError{Reference: Redact(reference), Next: next, Err: err}
}

func (e *ReferenceError) Error() string {
	text := fmt.Sprintf("key %s: %v", e.Reference, e.Err)
	if e.Next != "" {
		text += "; " + e.Next
	}
	return text
}

// Unwrap returns the cause.
func (e *ReferenceError) Unwrap() error { return e.Err }

// Redact takes the PIN, and a login before a host, out of a reference, for messages
// and for names that others see.
func Redact(reference string) string { return redact.Reference(reference) }
