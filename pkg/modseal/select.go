package modseal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

const archivePrefix = "archive:"

// selectedArtifact is an artifact that was asked for. Its tag was resolved once; from
// there everything goes by the digest.
type selectedArtifact struct {
	*location

	descriptor ocispec.Descriptor
}

// tag returns the tag by which the artifact was selected, or "".
func (s selectedArtifact) tag() string {
	if artifacttypes.ValidateDigest(digest.Digest(s.Reference)) == nil {
		return ""
	}
	return s.Reference
}

// selection finds artifacts in the repositories, layouts and archives that
// references name. Each of these is opened once.
type selection struct {
	client *Client
	opened map[string]*location
	whole  bool                  // a target without a tag means all that it has
	before func(*location) error // called with each of them before it is asked anything; may be nil
}

// request is what a reference asks for in a place that was opened.
type request struct {
	*location

	pattern string // of tags; empty for a reference
}

// selectArtifacts resolves references: host/repository:TAG and @DIGEST, the same of
// layouts and archives, globs in the place of tags, and @FILE for a list of them.
// The order is theirs, and each artifact comes once for each of its tags. A glob
// that no tag matches is an error that wraps errdef.ErrNotFound.
func (c *Client) selectArtifacts(ctx context.Context, refs []string) ([]selectedArtifact, error) {
	return (&selection{client: c}).all(ctx, refs)
}

func (s *selection) all(ctx context.Context, refs []string) ([]selectedArtifact, error) {
	refs, err := withLists(refs)
	if err != nil {
		return nil, err
	}
	requests := make([]request, len(refs))
	for i, ref := range refs {
		if requests[i], err = s.request(ctx, ref); err != nil {
			return nil, err
		}
	}
	var found []selectedArtifact
	for _, r := range requests {
		l, err := r.artifacts(ctx)
		if err != nil {
			return nil, err
		}
		if found = append(found, l...); len(found) > limits.Selected {
			return nil, fmt.Errorf("%w: more than %d artifacts", ErrUsage, limits.Selected)
		}
	}
	if err := resolveAll(ctx, found); err != nil {
		return nil, err
	}
	return distinct(found), nil
}

// request opens what a reference lies in. No registry is asked.
func (s *selection) request(ctx context.Context, ref string) (request, error) {
	base, pattern := cutGlob(ref)
	t, err := parseThere(base)
	if err != nil {
		return request{}, err
	}
	l, err := s.open(ctx, t)
	if err != nil {
		return request{}, err
	}
	l = l.named(t.Reference)
	if pattern == "" && t.Reference == "" && !s.whole {
		if err := l.chooseArtifact(ctx); err != nil {
			return request{}, err
		}
		if l.Reference == "" {
			return request{}, fmt.Errorf("%w: %s has no tag or digest; for all tags write '%s:*'", ErrUsage, t, t)
		}
	}
	return request{location: l, pattern: pattern}, nil
}

// artifacts returns what is asked for, before it is resolved.
func (r request) artifacts(ctx context.Context) ([]selectedArtifact, error) {
	switch {
	case r.Reference != "":
		return []selectedArtifact{{location: r.location}}, nil
	case r.pattern == "":
		return r.matching(ctx, "**", false)
	}
	return r.matching(ctx, r.pattern, true)
}

// open opens what t lies in, for reading.
func (s *selection) open(ctx context.Context, t Target) (*location, error) {
	t.Reference, t.Registry.Reference = "", ""
	if l, ok := s.opened[t.String()]; ok {
		return l, nil
	}
	l, err := s.client.open(ctx, t, false)
	if err != nil {
		return nil, err
	}
	if s.before != nil {
		if err := s.before(l); err != nil {
			return nil, err
		}
	}
	if s.opened == nil {
		s.opened = map[string]*location{}
	}
	s.opened[t.String()] = l
	return l, nil
}

// named is the location with another reference in it.
func (l *location) named(reference string) *location {
	other := *l
	other.Reference = reference
	return &other
}

// matching lists the tags that match the pattern. Those that hold referrers are no
// artifacts.
func (l *location) matching(ctx context.Context, pattern string, must bool) ([]selectedArtifact, error) {
	if !doublestar.ValidatePattern(pattern) {
		return nil, fmt.Errorf("%w: %s:%s: the glob is malformed", ErrUsage, l.Target, pattern)
	}
	var found []selectedArtifact
	err := l.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if !isFallbackTag(tag) && doublestar.MatchUnvalidated(pattern, tag) {
				found = append(found, selectedArtifact{location: l.named(tag)})
			}
		}
		if len(found) > limits.Selected {
			return fmt.Errorf("%w: more than %d tags match", ErrUsage, limits.Selected)
		}
		return nil
	})
	if err == nil && must && len(found) == 0 {
		err = &AbsentError{Place: l.place(), Err: fmt.Errorf("no tag matches: %w", errdef.ErrNotFound)}
	}
	switch {
	case err == nil:
		return found, nil
	case must:
		return nil, fmt.Errorf("%s:%s: %w", l.Target, pattern, err)
	}
	return nil, fmt.Errorf("%s: %w", l.Target, err)
}

// resolveAll resolves each reference once.
func resolveAll(ctx context.Context, found []selectedArtifact) error {
	const atOnce = 8 // latency is all that it costs
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range found {
		group.Go(func() error {
			desc, err := found[i].find(ctx)
			if err != nil {
				return err
			}
			found[i].descriptor = desc
			return nil
		})
	}
	return group.Wait()
}

// distinct drops what is there already: the same tag, or a digest whose artifact
// was selected by a tag of the same repository.
func distinct(found []selectedArtifact) []selectedArtifact {
	seen := map[string]bool{}
	for _, s := range found {
		if s.tag() != "" {
			seen[s.Scope()+"@"+s.descriptor.Digest.String()] = true
		}
	}
	var out []selectedArtifact
	for _, s := range found {
		key := s.Target.String()
		if s.tag() == "" {
			key = s.Scope() + "@" + s.descriptor.Digest.String()
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, s)
		}
	}
	return out
}

// cutGlob cuts the glob from a reference that has one in the place of its tag. The
// names in an archive have colons and slashes themselves, and begin after the first.
func cutGlob(ref string) (base, pattern string) {
	i := strings.LastIndexByte(ref, ':')
	if _, ok := strings.CutPrefix(ref, archivePrefix); ok {
		drive := len(archivePrefix) + len(filepath.VolumeName(ref[len(archivePrefix):]))
		i = drive + strings.IndexByte(ref[drive:], ':')
		if i < drive {
			return ref, ""
		}
	} else if i < 0 || strings.ContainsAny(ref[i:], `/\`) {
		return ref, ""
	}
	if !strings.ContainsAny(ref[i+1:], "*?[{") {
		return ref, ""
	}
	return ref[:i], ref[i+1:]
}

// withLists replaces @FILE by the references in FILE: one a line, with comments
// after #.
func withLists(refs []string) ([]string, error) {
	var out []string
	for _, ref := range refs {
		file, list := strings.CutPrefix(ref, "@")
		if !list {
			out = append(out, ref)
			continue
		}
		data, err := readSmall(file, limits.ReferenceListBytes)
		if err != nil {
			return nil, err
		}
		listed, err := listedIn(file, data)
		if err != nil {
			return nil, err
		}
		out = append(out, listed...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no reference is given", ErrUsage)
	}
	return out, nil
}

func listedIn(file string, data []byte) ([]string, error) {
	var out []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		f := strings.Fields(text)
		switch {
		case len(f) == 0:
		case len(f) > 1:
			return nil, fmt.Errorf("%w: %s, line %d: one reference a line is needed", ErrUsage, file, n)
		case strings.HasPrefix(f[0], "@"):
			return nil, fmt.Errorf("%w: %s, line %d: a list cannot name another list", ErrUsage, file, n)
		default:
			out = append(out, f[0])
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("%w: %w", ErrUsage, err)
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return out, nil
}
