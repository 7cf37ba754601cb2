package modseal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/progress"
	"github.com/modseal/modseal/pkg/remote"
)

// archives are the files of one call, opened.
type archives struct {
	all     []*archive.Archive
	brought []BroughtTrust
	claims  map[digest.Digest]omission // of blobs that are left out; made when one is missing
}

// omission is what an archive says of a blob that it leaves out.
type omission struct {
	archive.Omitted

	bases string // that the archive relies on
}

// openArchives opens the archives, each once however many of its parts are named.
func openArchives(ctx context.Context, files []string) (*archives, error) {
	if len(files) == 0 {
		return nil, usagef("no archive is given")
	}
	names, err := archiveNames(files)
	if err != nil {
		return nil, err
	}
	h := &archives{}
	for _, name := range names {
		a, err := archive.Open(ctx, name, archive.OpenOptions{Beside: besides(files)})
		if err != nil {
			return nil, errors.Join(wholeArchive(name, err), h.close())
		}
		h.all = append(h.all, a)
		if err := h.lookForTrust(a); err != nil {
			return nil, errors.Join(err, h.close())
		}
	}
	return h, nil
}

// wholeArchive explains a name behind that of the file, as other commands take it.
func wholeArchive(name string, err error) error {
	i := strings.LastIndexByte(name, ':')
	if i < 0 || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info, statErr := os.Stat(name[:i]); statErr != nil || !info.Mode().IsRegular() {
		return err
	}
	return usagef("there is no file %s: name the whole archive, %s; load chooses from it with --artifact '%s'", name, name[:i], name[i+1:])
}

// archiveNames returns the names of archives, that of a set in the place of its
// parts. A part that lies on another medium than the list of its set stands for it
// too, when something that lies beside the list is named as well.
func archiveNames(files []string) ([]string, error) {
	var names, elsewhere []string
	failed := map[string]error{}
	for _, file := range files {
		// As everywhere else an archive is named; here there can be nothing else.
		file = strings.TrimPrefix(file, "archive:")
		name, err := archive.Locate(file)
		switch {
		case err != nil:
			elsewhere, failed[file] = append(elsewhere, file), err
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	for _, file := range elsewhere {
		if !slices.ContainsFunc(names, func(name string) bool { return maybePart(file, name) }) {
			return nil, failed[file]
		}
	}
	return names, nil
}

// maybePart reports whether a file has the name of a part of the set. Whether it is
// one, its size and its sum say.
func maybePart(file, set string) bool {
	base, ok := strings.CutSuffix(filepath.Base(set), archive.PartsName(""))
	number, part := strings.CutPrefix(filepath.Base(file), base+".")
	return ok && part && number != "" && strings.Trim(number, "0123456789") == ""
}

func (h *archives) close() error {
	var err error
	for _, a := range h.all {
		err = errors.Join(err, a.Close())
	}
	return err
}

func (h *archives) paths() []string {
	var out []string
	for _, a := range h.all {
		out = append(out, a.Path())
	}
	return out
}

// checkParts compares the parts of sets with their sums. Blobs would be found
// damaged anyway; this names the part that is to be copied again, before hours
// have gone into the others.
func (h *archives) checkParts(ctx context.Context, p progress.Reporter) error {
	for _, a := range h.all {
		if err := a.CheckParts(ctx, archive.CheckOptions{Progress: p}); err != nil {
			return err
		}
	}
	return nil
}

// lookForTrust takes note of what an archive would like to be believed.
func (h *archives) lookForTrust(a *archive.Archive) error {
	for _, b := range []struct {
		kind string
		read func() ([]byte, bool, error)
	}{{BroughtMaterial, a.Trust}, {BroughtPolicy, a.Policy}} {
		raw, ok, err := b.read()
		if err != nil {
			return fmt.Errorf("%s: %s: %w", a.Path(), b.kind, err)
		}
		if ok {
			h.brought = append(h.brought, BroughtTrust{File: a.Path(), Kind: b.kind, Digest: digest.FromBytes(raw), Size: int64(len(raw))})
		}
	}
	return nil
}

// parcel is an artifact in an archive under one of its names. The names are claims.
type parcel struct {
	from       *archive.Archive
	name       string // host/repository:tag, host/repository@digest, or what there is
	repository string // without the host; empty when no name has one
	tag        string // empty when it was saved by its digest
	desc       ocispec.Descriptor
}

// parcels lists what the archives were made to carry, each name once.
func (h *archives) parcels(ctx context.Context) ([]parcel, error) {
	var out []parcel
	seen := map[parcelKey]bool{}
	for _, a := range h.all {
		found, err := a.Artifacts(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			contents, _ := a.Contents()
			for _, p := range parcelsOf(contents, f) {
				p.from = a
				if !seen[p.key()] {
					seen[p.key()] = true
					out = append(out, p)
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b parcel) int {
		return cmp.Or(cmp.Compare(a.repository, b.repository), cmp.Compare(a.tag, b.tag), cmp.Compare(a.desc.Digest, b.desc.Digest))
	})
	return out, nil
}

// parcelKey is what two parcels have in common that are one.
type parcelKey struct {
	repository, tag string
	digest          digest.Digest
}

func (p parcel) key() parcelKey { return parcelKey{p.repository, p.tag, p.desc.Digest} }

// parcelsOf finds the names of an artifact: full references first, as modseal,
// containerd and others write them, then what the contents of the archive say of
// one without a name, then bare tags.
func parcelsOf(contents *archive.Contents, f archive.Artifact) []parcel {
	var out []parcel
	seen := map[parcelKey]bool{}
	add := func(name string) {
		p := parcel{name: name, desc: f.Descriptor}
		if ref, err := remote.ParseReference(name); err == nil {
			p.repository = ref.Repository
			if ref.ValidateReferenceAsDigest() != nil {
				p.tag = ref.Reference
			}
		}
		if p.repository != "" && !seen[p.key()] {
			seen[p.key()] = true
			out = append(out, p)
		}
	}
	for _, name := range slices.Concat(f.Names, f.Tags) {
		add(name)
	}
	if contents != nil && len(out) == 0 {
		for _, c := range contents.Artifacts {
			if c.Digest == f.Descriptor.Digest {
				add(c.Name)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, tag := range f.Tags {
		if (remote.Reference{Reference: tag}).ValidateReferenceAsTag() == nil {
			out = append(out, parcel{name: tag, tag: tag, desc: f.Descriptor})
		}
	}
	if len(out) == 0 {
		out = []parcel{{name: f.Descriptor.Digest.String(), desc: f.Descriptor}}
	}
	return out
}

// matches reports whether a pattern means the parcel.
func (p parcel) matches(pattern string) bool {
	names := []string{p.name, p.tag, p.desc.Digest.String()}
	if p.repository != "" && p.tag != "" {
		names = append(names, p.repository+":"+p.tag)
	}
	for _, name := range names {
		if ok, err := doublestar.Match(pattern, name); err == nil && ok && name != "" {
			return true
		}
	}
	return false
}

// selected returns the parcels that patterns choose. A pattern that chooses nothing
// is an error: a mistyped name must not look like a model that is there.
func selected(all []parcel, patterns []string) ([]parcel, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	chosen := make([]bool, len(all))
	for _, pattern := range patterns {
		if !doublestar.ValidatePattern(pattern) {
			return nil, usagef("%q is no pattern of names", pattern)
		}
		found := false
		for i, p := range all {
			if p.matches(pattern) {
				chosen[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("no artifact of the archive is called %q: %w; there are%s", pattern, errdef.ErrNotFound, namesOf(all))
		}
	}
	var out []parcel
	for i, p := range all {
		if chosen[i] {
			out = append(out, p)
		}
	}
	return out, nil
}

// namesOf lists parcels for a message.
func namesOf(all []parcel) string {
	const most = 10
	var b strings.Builder
	for i, p := range all {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(all)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s (%s)", p.name, p.desc.Digest)
	}
	return b.String()
}

// besides returns where parts of a set may lie that are not beside the one that is
// named: media that are mounted at the same time.
func besides(files []string) []string {
	var dirs []string
	for _, f := range files {
		if dir := filepath.Dir(f); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// legacy returns the artifact that a parcel belongs to as one of the images that
// cosign kept signatures in before it had bundles.
func (p parcel) legacy() (subject digest.Digest, ok bool) {
	for _, suffix := range []string{artifacttypes.LegacySignatureSuffix, artifacttypes.LegacyAttestationSuffix, ".sbom"} {
		if name, cut := strings.CutSuffix(p.tag, suffix); cut {
			algorithm, hex, _ := strings.Cut(name, "-")
			d := digest.Digest(algorithm + ":" + hex)
			return d, artifacttypes.ValidateDigest(d) == nil
		}
	}
	return "", false
}
