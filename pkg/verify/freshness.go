package verify

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/Masterminds/semver/v3"
	modelspec "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
)

// release is what a model says of its place among its versions.
type release struct {
	version string
	semver  *semver.Version // nil when version is none
	created time.Time       // zero when unknown
}

func newRelease(version string, created time.Time) release {
	r := release{version: version, created: created}
	if len(version) <= limits.VersionBytes {
		r.semver, _ = semver.NewVersion(version) // what is none cannot be compared
	}
	return r
}

// release reads the config, which the manifest and so the signature names.
func (s Subject) release() (release, error) {
	var config modelspec.Model
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return release{}, fmt.Errorf("config: %w", err)
	}
	var created time.Time
	if config.Descriptor.CreatedAt != nil {
		created = *config.Descriptor.CreatedAt
	}
	return newRelease(config.Descriptor.Version, created), nil
}

// unordered holds for a release that no other can be compared with.
func (r release) unordered() bool { return r.semver == nil && r.created.IsZero() }

func (r release) String() string {
	switch {
	case r.version != "" && !r.created.IsZero():
		return fmt.Sprintf("version %s, created %s", quoted(r.version), stamp(r.created))
	case r.version != "":
		return "version " + quoted(r.version)
	case !r.created.IsZero():
		return "a model created " + stamp(r.created)
	}
	return "a model without version and time of creation"
}

// older compares two releases by version, and by time of creation when the
// versions are the same or one is none. known is false when neither can tell.
func (r release) older(than release) (older, known bool) {
	if r.semver != nil && than.semver != nil {
		if c := r.semver.Compare(than.semver); c != 0 {
			return c < 0, true
		}
		if r.created.IsZero() || than.created.IsZero() {
			return false, true
		}
	}
	if r.created.IsZero() || than.created.IsZero() {
		return false, false
	}
	return r.created.Before(than.created), true
}

// freshness decides a freshness requirement, and what is remembered.
func (d *decision) freshness(req policy.FreshnessRequirement) RequirementResult {
	r := d.begin(KindFreshness, "freshness", "a model that is "+d.fresh(req))
	const next = "pull the newest version; if this older one is meant, say so in the policy (freshness)"
	this, err := d.subject.release()
	if err != nil {
		r.fail("a model whose "+errorText(err), nil, next)
		return r
	}
	if found := tooOld(req, this); found != "" {
		r.fail(found, nil, next)
		return r
	}
	r.Found = this.String()
	if !req.Remember {
		return r
	}
	if this.unordered() {
		// Accepted, it would stand in the way of every version after it, and be
		// passed by every one before it.
		r.fail(this.String()+", which cannot be compared with another: nobody could tell an older one from a newer one",
			nil, "have the model published with a version, such as modseal push --set version=1.0.0, or with a time of creation")
		return r
	}
	if found, next := d.rollback(this); found != "" {
		r.fail(found, nil, next)
		return r
	}
	d.remember(this)
	return r
}

// fresh says what is asked for.
func (d *decision) fresh(req policy.FreshnessRequirement) string {
	var out []string
	if req.MinimumVersion != "" {
		out = append(out, fmt.Sprintf("of version %s or newer", quoted(req.MinimumVersion)))
	}
	if !req.CreatedAfter.IsZero() {
		out = append(out, "created after "+stamp(req.CreatedAfter))
	}
	if m := d.x.trust.Remembered; req.Remember && m != nil {
		out = append(out, fmt.Sprintf("not older than %s (%s), which was accepted before", shortDigest(m.Digest), newRelease(m.Version, m.Created)))
	} else if req.Remember {
		out = append(out, "not older than what was accepted before, which is nothing")
	}
	return listing(out)
}

// tooOld compares with the bounds in the rules; it returns what was found.
func tooOld(req policy.FreshnessRequirement, this release) string {
	if req.MinimumVersion != "" {
		least, err := semver.NewVersion(req.MinimumVersion)
		switch {
		case err != nil:
			return fmt.Sprintf("rules whose minimum version %s is no semantic version", quoted(req.MinimumVersion))
		case this.semver == nil:
			return this.String() + ", which cannot be compared with a semantic version"
		case this.semver.LessThan(least):
			return this.String()
		}
	}
	switch {
	case req.CreatedAfter.IsZero():
	case this.created.IsZero():
		return this.String() + ", so that nobody knows how old it is"
	case !this.created.After(req.CreatedAfter):
		return this.String()
	}
	return ""
}

// rollback compares with what was accepted before.
func (d *decision) rollback(this release) (found, next string) {
	m := d.x.trust.Remembered
	if m == nil {
		return "", ""
	}
	if d.x.now.Before(m.At.Add(-clockTolerance)) {
		return fmt.Sprintf("a clock that was set back: it says %s, and something was accepted at %s", stamp(d.x.now), stamp(m.At)),
			"set the clock of this machine; if it was wrong before and is right now, " + d.forget()
	}
	if m.Digest == d.subject.Descriptor.Digest {
		return "", ""
	}
	before := newRelease(m.Version, m.Created)
	older, known := this.older(before)
	switch {
	case !known:
		return fmt.Sprintf("%s, of which nobody can tell whether it is older than %s (%s)", this, shortDigest(m.Digest), before),
			"have the model published with a version, or " + d.forget()
	case older:
		return fmt.Sprintf("%s, which is older than %s (%s): a rollback", this, shortDigest(m.Digest), before),
			"pull the newest version; if going back is meant, " + d.forget()
	}
	return "", ""
}

// forget says how to begin anew.
func (d *decision) forget() string {
	out := "remove what is remembered of " + d.rules.Subject
	if in := d.x.trust.RememberedIn; in != "" {
		out += " from " + in
	}
	return out
}

// remember notes this as the newest, and never an earlier time than before.
func (d *decision) remember(this release) {
	d.memory = &Memory{Digest: d.subject.Descriptor.Digest, Created: this.created, At: d.x.now}
	// What is too long to be compared need not be kept, either: a publisher of one
	// model must not fill what is remembered of all.
	if len(this.version) <= limits.VersionBytes {
		d.memory.Version = this.version
	}
	if m := d.x.trust.Remembered; m != nil && m.At.After(d.memory.At) {
		d.memory.At = m.At
	}
}

// Newest returns what to remember when m and other were accepted, in whatever
// order: the newer release, and the later time.
func (m Memory) Newest(other Memory) Memory {
	newest := m
	if older, known := newRelease(m.Version, m.Created).older(newRelease(other.Version, other.Created)); known && older {
		newest = other
	}
	if other.At.After(newest.At) {
		newest.At = other.At
	}
	if m.At.After(newest.At) {
		newest.At = m.At
	}
	return newest
}
