package trust

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Summary is an item at a time, for people and machines to read. One of the last
// four fields is set.
type Summary struct {
	Kind    Kind          `json:"kind"`
	Name    string        `json:"name"`
	Source  string        `json:"source,omitempty"`
	TUF     string        `json:"tuf,omitempty"` // URL of the repository that it is refreshed from
	Fetched time.Time     `json:"fetched,omitzero"`
	Age     *int64        `json:"ageSeconds,omitempty"` // since it was fetched, when that is known
	Digest  digest.Digest `json:"digest"`               // SHA-256 of its bytes
	State   State         `json:"state"`
	// Warnings say what no longer works with it, or soon will not.
	Warnings []string `json:"warnings,omitempty"`

	Root          *RootSummary          `json:"root,omitempty"`
	SigningConfig *SigningConfigSummary `json:"signingConfig,omitempty"`
	Key           *KeySummary           `json:"key,omitempty"`
	Certificate   *AuthoritySummary     `json:"certificate,omitempty"`
}

// Describe returns what the item is, and in what state at a time.
func (it Item) Describe(now time.Time) (Summary, error) {
	s := Summary{Kind: it.Kind, Name: it.Name, Source: it.Source, Fetched: it.Fetched.UTC(), Digest: it.Digest(), State: StateValid}
	if it.TUF != nil {
		s.TUF = it.TUF.URL
	}
	if d, ok := age(it.Fetched, now); ok {
		seconds := int64(d / time.Second)
		s.Age = &seconds
	} else if !it.Fetched.IsZero() {
		s.Warnings = append(s.Warnings, "it was fetched in the future: a clock is wrong, and its age is unknown")
	}
	warnings, err := it.describe(&s, now)
	s.Warnings = append(s.Warnings, warnings...)
	return s, err
}

func (it Item) describe(s *Summary, now time.Time) ([]string, error) {
	switch it.Kind {
	case KindRoot:
		r, err := it.root()
		if err != nil {
			return nil, err
		}
		d := r.Describe(now)
		warnings := d.Warnings
		d.Warnings = nil // told once, at the item
		s.Root, s.State = &d, d.State
		return warnings, nil
	case KindSigningConfig:
		c, err := it.signingConfig()
		if err != nil {
			return nil, err
		}
		d := c.Describe(now)
		warnings := d.Warnings
		d.Warnings = nil
		s.SigningConfig, s.State = &d, d.State
		return warnings, nil
	case KindCertificate:
		a, err := it.authority()
		if err != nil {
			return nil, err
		}
		d := a.Describe(now)
		warnings := d.Warnings
		d.Warnings = nil
		s.Certificate, s.State = &d, d.State
		return warnings, nil
	case KindKey:
		k, err := it.key()
		if err != nil {
			return nil, err
		}
		d := k.Summary()
		s.Key = &d
		return nil, nil
	}
	return nil, it.Check()
}

// State is that of what is in the item; what cannot be read has expired.
func (it Item) State(now time.Time) State {
	s, err := it.Describe(now)
	if err != nil {
		return StateExpired
	}
	return s.State
}
