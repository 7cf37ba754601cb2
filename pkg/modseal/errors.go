package modseal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/bom"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/inventory"
	"github.com/modseal/modseal/pkg/materialize"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/referrer"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/store"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// Class is what a caller branches on: whether to fix the call, to stop, or to
// try again.
type Class int

// The classes of errors.
const (
	ClassNone         Class = iota // no error
	ClassOther                     // anything else
	ClassUsage                     // the call makes no sense
	ClassRefused                   // verification or policy says no
	ClassUndecided                 // nothing says whom to trust
	ClassNotFound                  // no such repository, tag, digest or file
	ClassUnauthorized              // the registry, or a service that signs, wants other credentials
	ClassTransport                 // the network or the registry failed; try again
	ClassIntegrity                 // bytes are not what their digest says
	ClassDrift                     // the destination, a tag or an archive, holds something else
	ClassInterrupted               // the caller cancelled
)

// classNames are what records call the classes.
var classNames = [...]string{"none", "other", "usage", "refused", "undecided", "not-found", "unauthorized", "transport", "integrity", "drift", "interrupted"}

// String names the class as records do: refused, transport and so on.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return classNames[ClassOther]
	}
	return classNames[c]
}

// DriftError says that a tag would be moved from what it holds.
type DriftError struct {
	Reference  string
	Have, Want string // digests; Have is empty when the tag is not there
	Expected   string // what it was to hold before, when that was said
}

func (e *DriftError) Error() string {
	switch {
	case e.Have == "":
		return fmt.Sprintf("%s is not there, and was expected to hold %s", e.Reference, e.Expected)
	case e.Expected != "":
		return fmt.Sprintf("%s holds %s, was expected to hold %s, and is to hold %s", e.Reference, e.Have, e.Expected, e.Want)
	}
	return fmt.Sprintf("%s holds %s, not %s", e.Reference, e.Have, e.Want)
}

// classes are tried in this order: an answer that was refused for its content
// stays refused even if it came over a bad line.
var classes = []struct {
	class Class
	is    func(error) bool
}{
	{ClassInterrupted, func(err error) bool { return errors.Is(err, context.Canceled) }},
	{ClassRefused, isRefused},
	{ClassUndecided, isUndecided},
	{ClassIntegrity, func(err error) bool {
		return as[*integrity.Error](err) || as[*materialize.MemberError](err) || as[*trust.RepositoryError](err) ||
			as[*trust.DamagedError](err) || as[*trust.DigestError](err) || as[*archive.PartsError](err) || isDamagedArchive(err) ||
			as[*bom.OtherFileError](err)
	}},
	{ClassDrift, func(err error) bool {
		return as[*DriftError](err) || as[*MovedError](err) || as[*archive.ExistsError](err)
	}},
	{ClassUsage, func(err error) bool {
		return errors.Is(err, ErrUsage) || errors.Is(err, archive.ErrReadOnly) || as[*inventory.Error](err)
	}},
	{ClassUnauthorized, isUnauthorized},
	{ClassNotFound, isNotFound},
	{ClassTransport, isTransport},
}

// ClassOf sorts err into a class.
func ClassOf(err error) Class {
	if err == nil {
		return ClassNone
	}
	for _, c := range classes {
		if c.is(err) {
			return c.class
		}
	}
	return ClassOther
}

func isRefused(err error) bool {
	return as[*verify.Refusal](err) || as[*ManifestError](err) || as[*NotLoadableError](err) || as[*integrity.TooLargeError](err) ||
		as[*referrer.TooManyError](err) || as[*referrer.CycleError](err) || as[*policy.NoScopeError](err) || as[*SitePolicyError](err) ||
		as[*WarnedError](err) || as[*ScanError](err) || as[*UnverifiedSBOMError](err) ||
		as[*sign.SelfCheckError](err) || as[*trust.ImportError](err) || errors.Is(err, trust.ErrExists) ||
		isHostileArchive(err) || as[*store.MediaTypeError](err) ||
		errors.Is(err, materialize.ErrUnsafeArchive) || errors.Is(err, materialize.ErrUnsafeDestination)
}

// isHostileArchive finds an archive that nobody should have made; what merely
// happened to a file on its way is not meant.
func isHostileArchive(err error) bool {
	var e *archive.Error
	return errors.As(err, &e) && !e.Damaged
}

func isDamagedArchive(err error) bool {
	var e *archive.Error
	return errors.As(err, &e) && e.Damaged
}

// isNotFound leaves out a file of the model that vanished while it was read: the
// name was right.
func isNotFound(err error) bool {
	return as[*MissingError](err) || (errors.Is(err, errdef.ErrNotFound) || errors.Is(err, fs.ErrNotExist)) && !errors.Is(err, source.ErrChanged)
}

func isUndecided(err error) bool {
	return as[*verify.Undecided](err) || as[*TrustError](err)
}

func isUnauthorized(err error) bool {
	var service *sign.ServiceError
	if errors.As(err, &service) {
		return service.Unauthorized()
	}
	return remote.IsUnauthorized(err) || errors.Is(err, sign.ErrToken)
}

func isTransport(err error) bool {
	var service *sign.ServiceError
	if errors.As(err, &service) {
		return service.Temporary
	}
	return remote.IsTransport(err) || as[*trust.FetchError](err)
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}
