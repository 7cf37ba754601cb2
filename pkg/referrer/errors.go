package referrer

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/integrity"
)

// CycleError says that a manifest is listed as a referrer of itself or of
// something that is attached to it: a digest cannot name itself, so the listing
// lies.
type CycleError struct {
	Subject  digest.Digest
	Referrer digest.Digest
}

func (e *CycleError) Error() string {
	if e.Subject == e.Referrer {
		return fmt.Sprintf("%s is listed as a referrer of itself", e.Subject)
	}
	return fmt.Sprintf("%s is listed as a referrer of %s, which is attached to it", e.Referrer, e.Subject)
}

// TooManyError says that more is attached than modseal follows.
type TooManyError struct {
	Subject digest.Digest
	What    string // "referrers", "bytes of referrers", …
	Limit   int
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("%s: more than %d %s", e.Subject, e.Limit, e.What)
}

// ListingError says that a listing names a manifest as something that it is
// not. It unwraps to an *integrity.Error.
type ListingError struct {
	Referrer  digest.Digest
	Announced string // media type
	Err       error
}

func (e *ListingError) Error() string {
	return fmt.Sprintf("referrer %s: listed as %q, which it is not: %v", e.Referrer, e.Announced, e.Err)
}

// Unwrap makes the error one of integrity and keeps its cause.
func (e *ListingError) Unwrap() []error {
	return []error{&integrity.Error{What: "referrer", Want: e.Referrer}, e.Err}
}

// NotListedError says that a referrer was stored but the target keeps
// forgetting to list it.
type NotListedError struct {
	Subject  digest.Digest
	Referrer digest.Digest
}

func (e *NotListedError) Error() string {
	return fmt.Sprintf("referrer %s is stored, but it is not listed for %s: others change the list at the same time, or it is not kept", e.Referrer, e.Subject)
}

// FallbackTagError says that the tag for the list of referrers is in use for
// something else, which modseal does not overwrite.
type FallbackTagError struct {
	Tag       string
	MediaType string
}

func (e *FallbackTagError) Error() string {
	return fmt.Sprintf("tag %s is to hold the list of referrers, but holds a %s: move that to another tag", e.Tag, e.MediaType)
}
