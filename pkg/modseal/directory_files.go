package modseal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/source"
	"github.com/modseal/modseal/pkg/statement"
)

// walkPlain lists every file but those that ignore names, whatever they are.
func walkPlain(ctx context.Context, dir string, follow bool, ignore func(string) bool) (*source.Tree, error) {
	return source.Walk(ctx, dir, source.Options{FollowSymlinks: follow, NoRoles: true, Ignore: ignore})
}

// ignorePaths returns what the signer leaves out, sorted: the defaults of OMS
// unless they belong to the model, the signature itself when it lies inside, and
// what the user names.
func ignorePaths(dir, signature string, d DirectoryOptions) ([]string, error) {
	var paths []string
	if !d.GitPaths {
		paths = statement.DefaultIgnorePaths()
	}
	if p := PathBelow(dir, signature); signature != "" && p != "" {
		paths = append(paths, p)
	}
	user, err := d.ignored()
	if err != nil {
		return nil, err
	}
	paths = append(paths, user...)
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// ignored checks what the user names.
func (d DirectoryOptions) ignored() ([]string, error) {
	var paths []string
	for _, p := range d.IgnorePaths {
		clean := filepath.ToSlash(filepath.Clean(p))
		if !filepath.IsLocal(clean) || clean == "." || strings.ContainsAny(clean, "*?[") {
			return nil, fmt.Errorf("%w: ignored path %q: a path below the directory is needed, without wildcards", ErrUsage, p)
		}
		paths = append(paths, clean)
	}
	return paths, nil
}

// DefaultSignature is where the signature of the directory or file dir is when
// nobody says it: beside it, with the same name and .sig added
// (OMS v1.0 §9).
func DefaultSignature(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if filepath.Dir(abs) == abs {
		return "", fmt.Errorf("%w: %s has no name to call its signature by; name a file with --signature", ErrUsage, dir)
	}
	if clean := filepath.Clean(dir); filepath.Base(clean) == filepath.Base(abs) {
		return clean + signatureSuffix, nil
	}
	return abs + signatureSuffix, nil
}

const signatureSuffix = ".sig"

// insideSignature is what model_signing calls a signature; one inside of the
// model is found too.
const insideSignature = "model.sig"

// findSignature returns the signature of dir that nobody named.
func findSignature(dir string) (string, error) {
	beside, err := DefaultSignature(dir)
	if err != nil {
		return "", err
	}
	inside := filepath.Join(dir, insideSignature)
	for _, name := range []string{beside, inside} {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s: there is no signature: neither %s nor %s: %w; name it with --signature", dir, beside, inside, fs.ErrNotExist)
}

// PathBelow returns the slash path of file below dir, or "" when it is not
// there.
func PathBelow(dir, file string) string {
	rel, err := filepath.Rel(resolved(dir), filepath.Join(resolved(filepath.Dir(file)), filepath.Base(file)))
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel)
}

func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return resolvedPath(abs)
}

// mayReplace refuses to write a signature over anything but a signature: a
// mistyped name must not cost a key or a file of the model.
func mayReplace(name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is no file to write a signature to", ErrUsage, name)
	}
	var bundle struct {
		MediaType string `json:"mediaType"`
	}
	text, err := readSmall(name, limits.BundleBytes)
	if err != nil || json.Unmarshal(text, &bundle) != nil || !strings.HasPrefix(bundle.MediaType, artifacttypes.MediaTypeBundlePrefix) {
		return fmt.Errorf("%w: %s exists and is no signature; name another file", ErrUsage, name)
	}
	return nil
}

// writeWhole writes a file that is there whole or as it was before.
func writeWhole(name string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
