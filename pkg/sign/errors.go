package sign

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrToken is wrapped when an identity token is missing, cannot be read or has
// expired.
var ErrToken = errors.New("identity token")

// Names of the services, in errors.
const (
	serviceAuthority = "certificate authority"
	serviceLog       = "transparency log"
	serviceTimestamp = "timestamp authority"
)

// ServiceError says that a service did not do its part.
type ServiceError struct {
	Service string // "certificate authority", "transparency log", "timestamp authority"
	URL     string
	Status  int    // of HTTP; 0 when no answer came
	Answer  string // the beginning of what it said
	Next    string // what to do
	// Temporary means that the same call may succeed later: there was no answer, or
	// one that says so. Otherwise the service refused.
	Temporary bool
	Err       error // the cause, where it is not the answer
}

func (e *ServiceError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Service, e.URL)
	if e.Status != 0 {
		fmt.Fprintf(&b, " answered %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Answer != "" {
		fmt.Fprintf(&b, ": %q", e.Answer)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Next != "" {
		fmt.Fprintf(&b, "; %s", e.Next)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *ServiceError) Unwrap() error { return e.Err }

// Unauthorized reports whether the service refused who asks, and not what was
// asked. Fulcio says so with 400 where the token is not one for it (v1.8.8).
func (e *ServiceError) Unauthorized() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	case http.StatusBadRequest:
		return e.Service == serviceAuthority
	}
	return false
}

// SelfCheckError says that a bundle was made, and does not verify with the trusted
// root: what a service answered is wrong, or the root is of other services than the
// signing configuration. The bundle is not handed out.
type SelfCheckError struct{ Err error }

func (e *SelfCheckError) Error() string {
	return fmt.Sprintf("what the services made does not verify with the trusted root: %v; "+
		"are signing configuration and trusted root of the same Sigstore instance, and is the root up to date?", e.Err)
}

// Unwrap returns the cause.
func (e *SelfCheckError) Unwrap() error { return e.Err }
