package verify_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

var testdata = filepath.Join("..", "..", "..", "shared", "testdata", "oms")

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	file := filepath.Join(append([]string{testdata}, parts...)...)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(file, "is not there")
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// walk hashes a directory as a caller of verify.Directory does.
func walk(t *testing.T, dir string, d *verify.DirectorySignature) []statement.Resource {
	t.Helper()
	var out []statement.Resource
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || p == "model.sig" || d.Ignored(verify.DirectoryOptions{}).Hold(p) {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, p))
		out = append(out, statement.Resource{Name: p, Digest: fmt.Sprintf("%x", sha256.Sum256(b)), Algorithm: "sha256"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// decideDirectory decides about files that were hashed before, by a bundle and keys of
// the command line.
func decideDirectory(t *testing.T, name string, bundle []byte, files []statement.Resource, single bool, keys []trust.Key, o verify.DirectoryOptions) (*verify.Report, error) {
	t.Helper()
	s, err := verify.ParseDirectorySignature("model.sig", "", bundle)
	if err != nil {
		return nil, err
	}
	var names []string
	known := verify.Trust{Keys: map[string]trust.Key{}}
	for _, k := range keys {
		names = append(names, k.Name)
		known.Keys[k.Name] = k
	}
	return verify.Directory(t.Context(), onDisk(name, files, single), []*verify.DirectorySignature{s}, o, verify.Ruling{Rules: policy.FromKeys(names), Trust: known})
}

func onDisk(name string, files []statement.Resource, single bool) verify.DirectorySubject {
	return verify.DirectorySubject{Name: name, Single: single, Resources: func(context.Context, *verify.DirectorySignature) ([]statement.Resource, error) {
		return files, nil
	}}
}

func referenceKey(t *testing.T) trust.Key {
	t.Helper()
	key, err := trust.ParseKey("signing-key-pub.pem", read(t, "keys", "signing-key-pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func refusal(t *testing.T, what string, err error, says string) {
	t.Helper()
	var r *verify.Refusal
	switch {
	case !errors.As(err, &r):
		t.Errorf("%s: %v is no refusal", what, err)
	case !strings.Contains(err.Error(), says):
		t.Errorf("%s: %q does not say %q", what, err, says)
	case r.Reasons[0].LookedFor == "" || r.Reasons[0].Next == "":
		t.Errorf("%s: incomplete reason %+v", what, r.Reasons[0])
	}
}

// The models that the Python reference implementation signed with a key,
// signing.md section 8.
func TestReferenceVectors(t *testing.T) {
	t.Parallel()
	key := referenceKey(t)
	bundle := read(t, "v1.1.0-elliptic-key", "model.sig")
	d, err := verify.ParseDirectorySignature("model.sig", "", bundle)
	if err != nil {
		t.Fatal(err)
	}
	want := &verify.DirectorySignature{
		File: "model.sig", Model: "v1.1.0-elliptic-key", Files: 2, Method: "files", HashType: "sha256",
		IgnorePaths: []string{".git", "model.sig", "ignore-me", ".gitattributes", ".gitignore", ".github"},
	}
	if diff := cmp.Diff(want, d, cmpopts.IgnoreUnexported(verify.DirectorySignature{})); diff != "" {
		t.Error(diff)
	}
	files := walk(t, filepath.Join(testdata, "v1.1.0-elliptic-key"), d)
	r, err := decideDirectory(t, "demo", bundle, files, false, []trust.Key{key}, verify.DirectoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Decision != verify.Accepted || r.Policy != "--key signing-key-pub.pem" || r.Checks[0].Fingerprint != key.Fingerprint().String() ||
		!strings.Contains(r.Checks[0].Detail, "92745110") || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], `"ignore-me"`) {
		t.Errorf("report %+v", r)
	}

	bundle = read(t, "v0.3.1-elliptic-key", "model.sig")
	d, err = verify.ParseDirectorySignature("model.sig", "", bundle)
	if err != nil {
		t.Fatal(err)
	}
	if !d.SingleFile || d.Files != 1 {
		t.Errorf("%+v", d)
	}
	files = walk(t, filepath.Join(testdata, "v0.3.1-elliptic-key"), d)
	if _, err := decideDirectory(t, "signme-1", bundle, files, true, []trust.Key{key}, verify.DirectoryOptions{}); err != nil {
		t.Error(err)
	}
	_, err = decideDirectory(t, "demo", bundle, files, false, []trust.Key{key}, verify.DirectoryOptions{})
	refusal(t, "the directory instead of the file", err, "single file")
}

func TestReferenceVectorsTampered(t *testing.T) {
	t.Parallel()
	key := referenceKey(t)
	bundle := read(t, "v1.1.0-elliptic-key", "model.sig")
	d, err := verify.ParseDirectorySignature("model.sig", "", bundle)
	if err != nil {
		t.Fatal(err)
	}
	files := func() []statement.Resource { return walk(t, filepath.Join(testdata, "v1.1.0-elliptic-key"), d) }
	more := statement.Resource{Name: "more", Digest: strings.Repeat("ab", 32), Algorithm: "sha256"}
	changed := files()
	changed[0].Digest = more.Digest
	swapped := files()
	swapped[0].Digest, swapped[1].Digest = swapped[1].Digest, swapped[0].Digest
	edit := func(fn func(doc map[string]any)) []byte {
		var doc map[string]any
		if err := json.Unmarshal(bundle, &doc); err != nil {
			t.Fatal(err)
		}
		fn(doc)
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ok := verify.DirectoryOptions{}
	lax := verify.DirectoryOptions{IgnoreUnsigned: true}
	for name, row := range map[string]struct {
		bundle []byte
		files  []statement.Resource
		keys   []trust.Key
		opts   verify.DirectoryOptions
		says   string // "" when it passes
	}{
		"as it is":             {bundle, files(), []trust.Key{key}, ok, ""},
		"one of two keys":      {bundle, files(), []trust.Key{keys()["p384"].Key, key}, ok, ""},
		"wrong key":            {bundle, files(), []trust.Key{keys()["p384"].Key}, ok, "found a bundle that is signed by an unknown key"},
		"changed file":         {bundle, changed, []trust.Key{key}, ok, `"signme-1" changed: signed as sha256:bc9a717d`},
		"changed file, lax":    {bundle, changed, []trust.Key{key}, lax, `"signme-1" changed`},
		"swapped files":        {bundle, swapped, []trust.Key{key}, ok, "(and 1 more difference)"},
		"missing file":         {bundle, files()[1:], []trust.Key{key}, ok, `"signme-1" missing`},
		"missing file, lax":    {bundle, files()[1:], []trust.Key{key}, lax, `"signme-1" missing`},
		"no files":             {bundle, nil, []trust.Key{key}, ok, "missing"},
		"more files":           {bundle, append(files(), more), []trust.Key{key}, ok, `found "more" not signed (sha256:abab`},
		"more files, lax":      {bundle, append(files(), more), []trust.Key{key}, lax, ""},
		"ignored file given":   {bundle, append(files(), statement.Resource{Name: ".git/HEAD", Digest: more.Digest, Algorithm: "sha256"}), []trust.Key{key}, ok, ""},
		"media type v0.2":      {edit(func(doc map[string]any) { doc["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2" }), files(), []trust.Key{key}, ok, "version 0.3"},
		"payload type changed": {edit(func(doc map[string]any) { at(doc, "dsseEnvelope")["payloadType"] = "text/plain" }), files(), []trust.Key{key}, ok, "payload type"},
		"two signatures": {edit(func(doc map[string]any) {
			e := at(doc, "dsseEnvelope")
			e["signatures"] = append(e["signatures"].([]any), e["signatures"].([]any)[0])
		}), files(), []trust.Key{key}, ok, "2 signatures"},
	} {
		r, err := decideDirectory(t, "demo", row.bundle, row.files, false, row.keys, row.opts)
		if row.says != "" {
			refusal(t, name, err, row.says)
			continue
		}
		if err != nil || r.Decision != verify.Accepted {
			t.Errorf("%s: %v", name, err)
		}
		if name == "more files, lax" && !strings.Contains(strings.Join(r.Warnings, "\n"), `1 unsigned file: "more"`) {
			t.Errorf("%s: warnings %q", name, r.Warnings)
		}
	}
	_, err = decideDirectory(t, "demo", bundle, files(), false, nil, ok)
	var no *verify.Undecided
	if !errors.As(err, &no) || no.Next == "" {
		t.Errorf("without keys: %v", err)
	}
}

func TestSpecificationVectors(t *testing.T) {
	t.Parallel()
	key := referenceKey(t)
	for _, name := range []string{"key", "certificate", "sigstore"} {
		if _, err := verify.ParseDirectorySignature(name, "", read(t, "spec-vectors", "valid", name+".bundle.json")); err != nil {
			t.Errorf("valid/%s: %v", name, err)
		}
	}
	files := []statement.Resource{
		{Name: "signme-1", Digest: "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc", Algorithm: "sha256"},
		{Name: "signme-2", Digest: "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028", Algorithm: "sha256"},
	}
	if _, err := decideDirectory(t, "model", read(t, "spec-vectors", "valid", "key.bundle.json"), files, false, []trust.Key{key}, verify.DirectoryOptions{}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"empty", "missing-envelope", "missing-tlog-entries", "missing-verification-material"} {
		_, err := decideDirectory(t, "model", read(t, "spec-vectors", "invalid", name+".bundle.json"), files, false, []trust.Key{key}, verify.DirectoryOptions{})
		refusal(t, "invalid/"+name, err, "refused")
	}
	// Its signature is wrong, too; the statement comes first.
	_, err := verify.ParseDirectorySignature("model.sig", "", read(t, "spec-vectors", "invalid-payload", "wrong-predicate.bundle.json"))
	refusal(t, "wrong-predicate", err, "predicateType")
}

// A public bundle of version 0.1 is refused wherever it comes from.
func TestOldBundleIsRefused(t *testing.T) {
	t.Parallel()
	_, err := verify.ParseDirectorySignature("x", "", read(t, "..", "sigstore", "bundle-provenance.json"))
	refusal(t, "bundle v0.1", err, "version 0.3")
}

func TestDirectorySigned(t *testing.T) {
	t.Parallel()
	private, _, err := sign.GenerateKeyPair(sign.P521, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.Load("k", private, nil)
	if err != nil {
		t.Fatal(err)
	}
	bundle := func(payload []byte) []byte {
		b, err := signer.Sign(t.Context(), payload, sign.FormOMS)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := []trust.Key{signer.Public()}
	m := demo()
	none := verify.DirectoryOptions{}
	if _, err := decideDirectory(t, "demo", bundle(m.oms(t)), m.resources(), false, key, none); err != nil {
		t.Error(err)
	}
	_, err = decideDirectory(t, "demo", bundle(claim(m.subject(t).Descriptor.Digest, "https://slsa.dev/provenance/v1")), m.resources(), false, key, none)
	refusal(t, "another statement", err, "predicateType")

	// The caller must hash as the signature says.
	blake := bytes.ReplaceAll(bytes.ReplaceAll(m.oms(t), []byte(`"algorithm":"sha256"`), []byte(`"algorithm":"blake3"`)), []byte(`"hash_type":"sha256"`), []byte(`"hash_type":"blake3"`))
	if _, err = decideDirectory(t, "demo", bundle(blake), m.resources(), false, key, none); err == nil || !strings.Contains(err.Error(), `hashed by "sha256" instead of "blake3"`) {
		t.Errorf("blake3: %v", err)
	}

	// One file, by its name as modseal signs it.
	single := model{files: map[string]string{"model.bin": "w"}}
	one := bundle(single.oms(t))
	if _, err := decideDirectory(t, "model.bin", one, single.resources(), true, key, none); err != nil {
		t.Error(err)
	}
	if _, err := decideDirectory(t, "a directory with this one file", one, single.resources(), false, key, none); err != nil {
		t.Error(err)
	}
	renamed := model{files: map[string]string{"other.bin": "w"}}
	_, err = decideDirectory(t, "other.bin", one, renamed.resources(), true, key, none)
	refusal(t, "renamed file", err, `"model.bin" missing`)
	_, err = decideDirectory(t, "config.json", bundle(m.oms(t)), []statement.Resource{{Name: "config.json", Digest: m.resources()[0].Digest, Algorithm: "sha256"}}, true, key, none)
	refusal(t, "one file of many", err, "missing")
	if _, err = decideDirectory(t, "x", one, nil, true, key, none); err == nil {
		t.Error("a single file without a file is accepted")
	}
	if _, err = decideDirectory(t, "x", one, append(single.resources(), single.resources()...), false, key, none); err == nil {
		t.Error("a file that was read twice is accepted")
	}
}

func TestDirectoryShards(t *testing.T) {
	t.Parallel()
	contents := map[string]string{"a": "123456789", "b/c": "1234", "empty": ""}
	shards := func(name, content string) []statement.Resource {
		var out []statement.Resource
		for _, r := range statement.Shards(name, int64(len(content)), 4) {
			out = append(out, statement.Resource{Name: r.Name, Digest: fmt.Sprintf("%x", sha256.Sum256([]byte(content[r.Start:r.End]))), Algorithm: "sha256"})
		}
		return out
	}
	o, err := statement.NewOMS("m", []statement.Resource{{Name: "a", Digest: strings.Repeat("ab", 32), Algorithm: "sha256"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Method, o.ShardSize = statement.MethodShards, 4
	o.Resources = append(append(shards("a", contents["a"]), shards("b/c", contents["b/c"])...), shards("empty", "")...)
	o.Root = rootOf(t, o.Resources)
	payload, err := o.Payload()
	if err != nil {
		t.Fatal(err)
	}
	bundle := envelope{payload: payload, signer: "release"}.bundle(t)
	d, err := verify.ParseDirectorySignature("model.sig", "", bundle)
	if err != nil || d.Method != statement.MethodShards || d.ShardSize != 4 {
		t.Fatalf("%+v, %v", d, err)
	}
	key := []trust.Key{keys()["release"].Key}
	all := append(shards("a", contents["a"]), shards("b/c", contents["b/c"])...)
	if _, err := decideDirectory(t, "m", bundle, all, false, key, verify.DirectoryOptions{}); err != nil {
		t.Error(err)
	}
	_, err = decideDirectory(t, "m", bundle, append(shards("a", "1234567890123"), shards("b/c", "1234")...), false, key, verify.DirectoryOptions{})
	refusal(t, "longer file", err, `"a:8:9" missing`)
	_, err = decideDirectory(t, "m", bundle, append(shards("a", "12345678x"), shards("b/c", "1234")...), false, key, verify.DirectoryOptions{})
	refusal(t, "other last range", err, `"a:8:9" changed`)
	ignored := append(all, shards(".git/config", "1234")...)
	if _, err := decideDirectory(t, "m", bundle, ignored, false, key, verify.DirectoryOptions{}); err != nil {
		t.Error(err)
	}

	// A single file in shards is called . by the Python implementation.
	o.Resources = shards(".", contents["a"])
	o.Root = rootOf(t, o.Resources)
	if payload, err = o.Payload(); err != nil {
		t.Fatal(err)
	}
	bundle = envelope{payload: payload, signer: "release"}.bundle(t)
	if _, err := decideDirectory(t, "a", bundle, shards("a", contents["a"]), true, key, verify.DirectoryOptions{}); err != nil {
		t.Error(err)
	}
	_, err = decideDirectory(t, "m", bundle, shards("a", contents["a"]), false, key, verify.DirectoryOptions{})
	refusal(t, "directory for a file", err, "single file")
}

func rootOf(t *testing.T, resources []statement.Resource) string {
	t.Helper()
	h := sha256.New()
	for _, r := range resources {
		var b []byte
		if _, err := fmt.Sscanf(r.Digest, "%x", &b); err != nil {
			t.Fatal(err)
		}
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
