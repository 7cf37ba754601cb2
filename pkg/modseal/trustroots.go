package modseal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// TrustPrefix before a name means what is called so in the trust store. It may
// stand where the path of a trusted root or a signing configuration may.
const TrustPrefix = "trust:"

// root returns a trusted root that a policy or a flag names. Offline it asks
// nobody; otherwise what came from TUF is fetched again when it is older than
// [trust.RefreshAfter]. What is missing, of unknown age where the age is bounded,
// or too old is a [*TrustError] with a [*verify.Undecided] in it, which says what
// to do; what cannot be fetched is a [*trust.FetchError], and what is fetched and
// not to be believed a [*trust.RepositoryError].
func (c *Client) root(ctx context.Context, r policy.TrustedRoot, policyFile string, offline bool) (*trust.Root, error) {
	root, err := c.findRoot(ctx, r, policyFile, offline)
	if err != nil {
		return nil, err
	}
	named := *root
	if r.Name != "" {
		named.Name = r.Name
	}
	if err := c.checkAge(&named, r); err != nil {
		return nil, err
	}
	return &named, nil
}

// roots returns the trusted roots of a policy by name.
func (c *Client) roots(ctx context.Context, list []policy.TrustedRoot, policyFile string, offline bool) (map[string]*trust.Root, error) {
	out := map[string]*trust.Root{}
	for _, r := range list {
		root, err := c.root(ctx, r, policyFile, offline)
		if err != nil {
			return nil, err
		}
		out[r.Name] = root
	}
	return out, nil
}

func (c *Client) findRoot(ctx context.Context, r policy.TrustedRoot, policyFile string, offline bool) (*trust.Root, error) {
	if name, ok := strings.CutPrefix(r.File, TrustPrefix); ok {
		root, err := c.trustStore().Root(name)
		return root, missing(err, "trusted root "+name, "modseal trust add root "+name+" FILE, or modseal trust import FILE")
	}
	if r.File != "" {
		root, err := trust.LoadRoot(besidePolicy(r.File, policyFile))
		if err != nil {
			return nil, &TrustError{fmt.Errorf("trusted root %s: %w", r.Name, err)}
		}
		return root, nil
	}
	src, err := sourceOf(r, policyFile)
	if err != nil {
		return nil, err
	}
	got, err := c.fromTUF(ctx, src, r.MaxAge, offline)
	return got.root, err
}

// sourceOf returns the TUF repository that a policy names.
func sourceOf(r policy.TrustedRoot, policyFile string) (trust.Source, error) {
	if r.TUF == policy.PublicGood {
		return trust.PublicGood(), nil
	}
	initial, err := readSmall(besidePolicy(r.TUFRoot, policyFile), limits.TUFFileBytes)
	if err != nil {
		return trust.Source{}, &TrustError{fmt.Errorf("trusted root %s: first root metadata of %s: %w", r.Name, r.TUF, err)}
	}
	src := trust.Source{Name: r.Name, URL: r.TUF, Initial: initial}
	if err := src.Check(); err != nil {
		return trust.Source{}, &TrustError{fmt.Errorf("trusted root %s: %w", r.Name, err)}
	}
	return src, nil
}

func besidePolicy(file, policyFile string) string {
	if policyFile == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(policyFile), file)
}

// signingConfig returns the signing configuration in a file, or that of the
// public-good instance when file is empty or its name, with the errors of root.
func (c *Client) signingConfig(ctx context.Context, file string, offline bool) (*trust.SigningConfig, error) {
	if name, ok := strings.CutPrefix(file, TrustPrefix); ok {
		config, err := c.trustStore().SigningConfig(name)
		return config, missing(err, "signing configuration "+name, "modseal trust add signing-config "+name+" FILE, or modseal trust import FILE")
	}
	if file != "" && file != policy.PublicGood {
		config, err := trust.LoadSigningConfig(file)
		if err != nil {
			return nil, &TrustError{fmt.Errorf("signing configuration: %w", err)}
		}
		return config, nil
	}
	got, err := c.fromTUF(ctx, trust.PublicGood(), 0, offline)
	switch {
	case err != nil:
		return nil, err
	case got.config == nil:
		return nil, undecided("the trust store has a trusted root of the public-good instance and no signing configuration",
			"name one with --signing-config FILE, or modseal trust update public-good")
	}
	return got.config, nil
}

// fromTUF returns what the store has from a repository while it is fresh, and
// fetches it again otherwise, unless offline.
func (c *Client) fromTUF(ctx context.Context, src trust.Source, maxAge time.Duration, offline bool) (fetched, error) {
	have, err := c.stored(src)
	there := err == nil
	if err != nil && !as[*trust.NotFoundError](err) {
		return fetched{}, &TrustError{err}
	}
	switch {
	case there && (offline || c.fresh(have.root, maxAge)):
		return have, nil
	case offline:
		return fetched{}, undecided("there is no trusted root from "+src.URL+" here, and nothing may be fetched offline", carryNext(src))
	}
	got, err := c.fetch(ctx, src)
	if there && as[*trust.FetchError](err) {
		// Whoever cuts the network off can keep an old root in use: the policy
		// says for how long.
		c.services.warn(fmt.Sprintf("%v; the trusted root of %s is used", err, have.root.Fetched.Format(time.RFC3339)))
		return have, nil
	}
	return got, err
}

// fresh holds for what need not be fetched again: what somebody added by hand
// stays as it is.
func (c *Client) fresh(root *trust.Root, maxAge time.Duration) bool {
	age, known := root.Age(c.services.time())
	if root.Fetched.IsZero() {
		return true
	}
	return known && age < trust.RefreshAfter && (maxAge == 0 || age <= maxAge)
}

// stored returns what was fetched from a repository before: by this Client, or
// by anybody who put it into the store. For the public-good instance its name is
// enough, since a site without a network may have got the bare files.
func (c *Client) stored(src trust.Source) (fetched, error) {
	c.services.mu.Lock()
	defer c.services.mu.Unlock()
	for _, f := range c.services.fetched {
		if f.src.Same(src) {
			return f, nil
		}
	}
	store := c.trustStore()
	root, err := store.RootFrom(src)
	if as[*trust.NotFoundError](err) && src.Same(trust.PublicGood()) {
		root, err = store.Root(src.Name)
	}
	if err != nil {
		return fetched{}, err
	}
	config, err := store.SigningConfig(root.Name)
	if err != nil && !as[*trust.NotFoundError](err) {
		return fetched{}, err
	}
	return fetched{src: src, root: root, config: config}, nil
}

// fetch keeps what it fetches in the store, and in memory where there is none.
func (c *Client) fetch(ctx context.Context, src trust.Source) (fetched, error) {
	store := c.trustStore()
	if store.Dir != "" {
		_, err := store.Update(ctx, src, c.fetchOptions())
		switch {
		case err == nil:
			return c.stored(src)
		case ctx.Err() != nil, as[*trust.FetchError](err), as[*trust.RepositoryError](err), errors.Is(err, trust.ErrInvalidItem):
			return fetched{}, err
		case errors.Is(err, trust.ErrExists), errors.Is(err, trust.ErrNotRefreshable):
			// Two policies may call different repositories the same.
		default:
			c.services.warn(fmt.Sprintf("the trusted root from %s cannot be kept: %v", src.URL, err))
		}
	}
	root, config, err := trust.Fetch(ctx, src, c.fetchOptions())
	if err != nil {
		return fetched{}, err
	}
	f := fetched{src: src, root: root, config: config}
	c.services.mu.Lock()
	defer c.services.mu.Unlock()
	c.services.fetched = append(c.services.fetched, f)
	return f, nil
}

func (c *Client) checkAge(root *trust.Root, r policy.TrustedRoot) error {
	if r.MaxAge == 0 {
		return nil
	}
	age, known := root.Age(c.services.time())
	next := "carry a newer one here: modseal trust export where there is a network, and name the file that it writes"
	if r.TUF != "" {
		next = "modseal trust update where there is a network, and modseal trust import FILE here"
	}
	switch {
	case !known && root.Fetched.IsZero():
		return undecided(fmt.Sprintf("nothing says when the trusted root %s (%s) was fetched, and the policy takes none that is older than %s",
			root.Name, root.Source, r.MaxAge), next)
	case !known:
		return undecided(fmt.Sprintf("the trusted root %s was fetched in the future, at %s: its age is unknown, and the policy takes none that is older than %s",
			root.Name, root.Fetched.Format(time.RFC3339), r.MaxAge), "set the clock of this machine, or "+next)
	case age > r.MaxAge:
		return undecided(fmt.Sprintf("the trusted root %s was fetched %s ago, at %s, and the policy takes none that is older than %s",
			root.Name, age.Round(time.Minute), root.Fetched.Format(time.RFC3339), r.MaxAge), next)
	}
	return nil
}

func carryNext(src trust.Source) string {
	update := "modseal trust update " + src.Name
	if !src.Same(trust.PublicGood()) {
		update += " --tuf " + src.URL + " --tuf-root FILE"
	}
	return "where there is a network: " + update + " and modseal trust export -o FILE; then here: modseal trust import FILE"
}

// missing makes "undecided" of what is not in the trust store.
func missing(err error, what, next string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &TrustError{&verify.Undecided{Why: what + ": " + err.Error(), Next: next}}
	}
	return &TrustError{err}
}

func undecided(why, next string) error {
	return &TrustError{&verify.Undecided{Why: why, Next: next}}
}
