package modseal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// trustStore returns the trust store of the Client. Without a TrustDir nothing is
// in it.
func (c *Client) trustStore() trust.Store { return trust.Store{Dir: c.o.TrustDir} }

// TrustAddition is trust material in a file that is to be kept in the store.
type TrustAddition struct {
	Kind    trust.Kind
	Name    string
	File    string
	Fetched time.Time // from its source of truth; zero when nobody knows
	Replace bool      // another one of the same kind and name
}

// TrustAdd keeps trust material from a file in the store.
func (c *Client) TrustAdd(ctx context.Context, a TrustAddition) (*trust.Summary, error) {
	data, err := readSmall(a.File, limits.TrustedRootBytes)
	if err != nil {
		return nil, err
	}
	if !trust.ValidName(a.Name) {
		return nil, fmt.Errorf("%w: %q is no name: 1 to 64 of a-z A-Z 0-9 . _ - are meant, a letter or a digit first", ErrUsage, a.Name)
	}
	it := trust.Item{Kind: a.Kind, Name: a.Name, Source: a.File, Fetched: a.Fetched.UTC().Truncate(time.Second), Data: data}
	if _, known := it.Age(c.services.time()); !known && !a.Fetched.IsZero() {
		return nil, fmt.Errorf("%w: %s: it cannot have been fetched in the future, at %s", ErrUsage, a.File, a.Fetched.Format(time.RFC3339))
	}
	if trust.IsEncoded(data) {
		return nil, fmt.Errorf("%w: %s was written by modseal trust export; modseal trust import %s takes it", ErrUsage, a.File, a.File)
	}
	if err := c.trustStore().Add(ctx, it, a.Replace); err != nil {
		return nil, err
	}
	s, err := it.Describe(c.services.time())
	return &s, err
}

// TrustShow is trust material in the store or in a file.
type TrustShow struct {
	Store  string          `json:"store,omitempty"`
	File   string          `json:"file,omitempty"`
	Digest digest.Digest   `json:"digest,omitempty"` // of the file
	Items  []trust.Summary `json:"items"`
}

// TrustShow describes what the store has under a name, what is in a file, or
// everything in the store when target is empty. A name goes before a file. It
// asks nobody.
func (c *Client) TrustShow(target string) (*TrustShow, error) {
	var names []string
	if target != "" {
		names = []string{target}
	}
	items, err := c.trustStore().Named(names...)
	if as[*trust.NotFoundError](err) {
		return c.showFile(target, err)
	}
	if err != nil {
		return nil, err
	}
	summaries, err := c.summaries(items)
	return &TrustShow{Store: c.o.TrustDir, Items: summaries}, err
}

func (c *Client) showFile(file string, notFound error) (*TrustShow, error) {
	data, err := readSmall(file, limits.TrustFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w, and no file of this name", notFound)
	}
	if err != nil {
		return nil, err
	}
	items, err := trust.ReadItems(file, data)
	if err != nil {
		return nil, err
	}
	summaries, err := c.summaries(items)
	return &TrustShow{File: file, Digest: digest.FromBytes(data), Items: summaries}, err
}

func (c *Client) summaries(items []trust.Item) ([]trust.Summary, error) {
	out := []trust.Summary{}
	for _, it := range items {
		s, err := it.Describe(c.services.time())
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Check returns a [*TrustError] that names all items of which nothing is valid
// now, and all roots and signing configurations that were fetched longer ago than
// maxAge, or nobody knows when. A maxAge of 0 takes any age.
func (s *TrustShow) Check(maxAge time.Duration) error {
	var bad []error
	for _, it := range s.Items {
		what := string(it.Kind) + " " + it.Name
		ages := maxAge > 0 && (it.Root != nil || it.SigningConfig != nil)
		switch {
		case it.State == trust.StateNotYet:
			bad = append(bad, fmt.Errorf("%s: nothing in it is valid yet", what))
		case it.State != trust.StateValid:
			bad = append(bad, fmt.Errorf("%s: everything in it has expired", what))
		case ages && it.Age == nil:
			bad = append(bad, fmt.Errorf("%s: nothing says how old it is", what))
		case ages && time.Duration(*it.Age)*time.Second > maxAge:
			bad = append(bad, fmt.Errorf("%s: it was fetched more than %s ago, at %s", what, maxAge, it.Fetched.Format(time.RFC3339)))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return &TrustError{&verify.Undecided{
		Why:  errors.Join(bad...).Error(),
		Next: "modseal trust update where there is a network, or modseal trust import FILE with newer ones; for what came from a file, modseal trust add with --fetched TIME and --replace",
	}}
}

// TrustRemoval is what was removed from the store.
type TrustRemoval struct {
	Store string          `json:"store"`
	Items []trust.Summary `json:"items"`
}

// TrustRemove removes what has one of the names, of every kind.
func (c *Client) TrustRemove(ctx context.Context, names ...string) (*TrustRemoval, error) {
	gone, err := c.trustStore().Remove(ctx, names...)
	if err != nil {
		return nil, err
	}
	items, err := c.summaries(gone)
	return &TrustRemoval{Store: c.o.TrustDir, Items: items}, err
}
