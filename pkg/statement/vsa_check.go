package statement

import (
	"slices"
	"time"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
	"github.com/modseal/modseal/pkg/internal/slsa"
)

// checkVSA demands of a verification summary that is to be signed all that its
// specification demands of who writes one. Of those who have written one already,
// [ReadVSA] demands no more than it takes to understand it.
func checkVSA(predicate []byte) error {
	v, err := ReadVSA(predicate)
	if err != nil {
		return err
	}
	switch {
	case !absoluteURI.MatchString(v.Verifier) || notURI(v.Verifier):
		return invalid("verifier.id %q is no absolute URI", shorten(v.Verifier))
	case notURI(v.Resource):
		return invalid("resourceUri %q has characters that a URI does not have", shorten(v.Resource))
	case v.TimeVerified.Location() != time.UTC:
		return invalid("timeVerified is not in UTC, such as 2026-01-02T15:04:05Z")
	case v.SLSAVersion != "" && !slsaVersion.MatchString(v.SLSAVersion):
		return invalid("slsaVersion %q is no version such as 1.1", shorten(v.SLSAVersion))
	}
	return v.checkLevels()
}

// slsaVersion is the form <MAJOR>.<MINOR>.
var slsaVersion = lazyregexp.New(`^[0-9]{1,3}\.[0-9]{1,3}$`)

// checkLevels demands names that mean one thing: of a track of SLSA's one level,
// which implies those below.
func (v *VSA) checkLevels() error {
	tracks := map[string]string{}
	for i, l := range v.Levels {
		if slices.Contains(v.Levels[:i], l) {
			return invalid("verifiedLevels has %q twice", shorten(l))
		}
		if l == slsa.Failed {
			continue // [ReadVSA] has compared it with the result
		}
		if err := slsa.Check(l); err != nil {
			return invalid("verifiedLevels: %w", err)
		}
		track, _, ok := slsa.Track(l)
		if !ok {
			continue
		}
		if other := tracks[track]; other != "" {
			return invalid("verifiedLevels has %s and %s of one track: write the higher one alone", other, l)
		}
		tracks[track] = l
	}
	return nil
}
