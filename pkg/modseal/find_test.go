//go:build unix

package modseal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oras.land/oras-go/v2/errdef"
)

// A target that names nothing, or nothing that is there, is answered with how to see
// what is.
func TestWhatIsThereIsShown(t *testing.T) {
	c, target, private, public := signedModel(t)
	place := strings.TrimSuffix(target, ":v1")
	file := filepath.Join(t.TempDir(), "models.tar")
	if _, err := c.Save(t.Context(), []string{target}, file, SaveOptions{Trust: TrustOptions{Keys: []string{public}}}); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(target string) error{
		"inspect": func(target string) error { _, err := c.Inspect(t.Context(), target, InspectOptions{}); return err },
		"tree":    func(target string) error { _, err := c.Tree(t.Context(), target, TreeOptions{}); return err },
		"sbom":    func(target string) error { _, err := c.SBOM(t.Context(), target, SBOMOptions{}); return err },
		"copy": func(target string) error {
			_, err := c.Copy(t.Context(), target, "oci:"+t.TempDir()+":v1", CopyOptions{})
			return err
		},
		"save": func(target string) error {
			_, err := c.Save(t.Context(), []string{target}, filepath.Join(t.TempDir(), "s.tar"), SaveOptions{Trust: TrustOptions{Keys: []string{public}}})
			var unnamed *UnnamedError
			if ClassOf(err) == ClassUsage && !errors.As(err, &unnamed) && strings.Contains(err.Error(), "for all tags write '") {
				return &UnnamedError{Place: target} // it knows better
			}
			return err
		},
		"save of a glob": func(target string) error {
			if target == place || target == "archive:"+file {
				return &UnnamedError{Place: target} // that is no glob
			}
			_, err := c.Save(t.Context(), []string{target + "*"}, filepath.Join(t.TempDir(), "s.tar"), SaveOptions{Trust: TrustOptions{Keys: []string{public}}})
			return err
		},
		"sign": func(target string) error {
			if strings.HasPrefix(target, "archive:") {
				return &AbsentError{Place: "archive:" + file, Err: errdef.ErrNotFound} // nothing is signed there
			}
			_, err := c.Sign(t.Context(), target, SignOptions{Key: private, Password: password})
			return err
		},
	} {
		for _, place := range []string{place, "archive:" + file} {
			var absent *AbsentError
			if err := call(place + ":v7"); !errors.As(err, &absent) || ClassOf(err) != ClassNotFound || absent.Next() != "see what is there: modseal list "+place {
				t.Errorf("%s %s:v7: %v", name, place, err)
			}
		}
		var unnamed *UnnamedError
		if err := call(place); !errors.As(err, &unnamed) || ClassOf(err) != ClassUsage || unnamed.Next() != "see what is there, and name it: modseal list "+place {
			t.Errorf("%s %s: %v", name, place, err)
		}
	}
}

// A file that --since names is an archive or an inventory, and one that is neither is
// said to be neither.
func TestSinceNeither(t *testing.T) {
	c, target, _, public := signedModel(t)
	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, []byte(strings.Repeat("what they have\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	o := SaveOptions{Trust: TrustOptions{Keys: []string{public}}, Since: []string{file}}
	_, err := c.Save(t.Context(), []string{target}, filepath.Join(t.TempDir(), "s.tar"), o)
	if err == nil || !strings.Contains(err.Error(), "it does not begin like an inventory") {
		t.Error(err)
	}
}

// Archives that are not there are told as such; one with a name behind it, as other
// commands take it, is a whole one to load.
func TestArchiveThatIsNotThere(t *testing.T) {
	t.Parallel()
	c, file := newClient(t), filepath.Join(t.TempDir(), "x.tar")
	_, err := c.Inspect(t.Context(), "archive:"+file, InspectOptions{})
	if ClassOf(err) != ClassNotFound || !strings.Contains(err.Error(), "archive "+file+": file does not exist") {
		t.Error(err)
	}
	if _, err := c.Load(t.Context(), []string{file + ":v1"}, "oci:"+t.TempDir()+":v1", LoadOptions{}); ClassOf(err) != ClassNotFound {
		t.Error(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = c.Load(t.Context(), []string{file + ":v1"}, "oci:"+t.TempDir()+":v1", LoadOptions{})
	if ClassOf(err) != ClassUsage || !strings.Contains(err.Error(), "--artifact 'v1'") {
		t.Error(err)
	}
}
