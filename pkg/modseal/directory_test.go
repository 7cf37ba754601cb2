//go:build unix

package modseal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// omsSchemas compiles the schemas of the specification
// (https://github.com/ossf/model-signing-spec, schemas/v1.0).
func omsSchemas(t *testing.T) (bundle, payload *jsonschema.Schema) {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "testdata", "oms", "schemas")
	c := jsonschema.NewCompiler()
	for _, part := range []string{"bundle", "envelope", "statement", "predicate"} {
		f, err := os.Open(filepath.Join(dir, part+".schema.json"))
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip(dir, "is not there")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		doc, err := jsonschema.UnmarshalJSON(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(schemaID(part), doc); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if bundle, err = c.Compile(schemaID("bundle")); err != nil {
		t.Fatal(err)
	}
	if payload, err = c.Compile(schemaID("statement")); err != nil {
		t.Fatal(err)
	}
	return bundle, payload
}

func schemaID(part string) string { return "https://model_signing/" + part + "/v1.0/schema" }

func validate(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// payloadOf returns the statement in a bundle.
func payloadOf(t *testing.T, bundle []byte) []byte {
	t.Helper()
	var doc struct {
		Envelope struct {
			Payload string `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bundle, &doc); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(doc.Envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// Everything that is signed verifies, and is what the schemas of the
// specification have; but for the suffix that others demand against them.
func TestSignDirectoryIsOfTheSchema(t *testing.T) {
	t.Parallel()
	bundleSchema, payloadSchema := omsSchemas(t)
	c := newClient(t)
	model := writeTree(t, map[string]string{"config.json": "{}", "sub/w": strings.Repeat("weights", 100), "empty": "", "ab:c": "c"})
	for _, curve := range sign.Curves() {
		res, err := Keygen(filepath.Join(t.TempDir(), "k"), curve, nil)
		if err != nil {
			t.Fatal(err)
		}
		signer := SignOptions{Key: res.PrivateKey}
		for _, hashType := range statement.HashTypes() {
			for _, d := range []DirectoryOptions{
				{HashType: hashType},
				{HashType: hashType, ShardSize: 64},
				{HashType: hashType, IgnorePaths: []string{"sub"}},
				{HashType: hashType, ShardSize: 64, ShardSuffix: true},
			} {
				for _, path := range []string{model, filepath.Join(model, "config.json")} {
					if path != model && d.IgnorePaths != nil {
						continue
					}
					signature := filepath.Join(t.TempDir(), "model.sig")
					if _, err := c.SignDirectory(t.Context(), path, signature, signer, d); err != nil {
						t.Fatal(err)
					}
					bundle, err := os.ReadFile(signature)
					if err != nil {
						t.Fatal(err)
					}
					if err := validate(t, bundleSchema, bundle); err != nil {
						t.Errorf("%+v: bundle: %v", d, err)
					}
					if err := validate(t, payloadSchema, payloadOf(t, bundle)); (err == nil) == d.ShardSuffix {
						t.Errorf("%+v: payload: %v", d, err)
					}
					v, err := c.VerifyDirectory(t.Context(), path, []string{signature}, DirectoryOptions{Trust: TrustOptions{Keys: []string{res.PublicKey}}, Strict: !d.ShardSuffix})
					if err != nil || v.Verification.Decision != verify.Accepted {
						t.Errorf("%+v: %v", d, err)
					}
				}
			}
		}
	}
}

// What is pushed has an OMS statement too.
func TestPushedStatementIsOfTheSchema(t *testing.T) {
	t.Parallel()
	_, payloadSchema := omsSchemas(t)
	o, err := statement.NewOMS("demo", []statement.Resource{resource("w", strings.Repeat("ab", 32))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := o.Payload()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, payloadSchema, payload); err != nil {
		t.Error(err)
	}
	// The schemas are at work.
	if err := validate(t, payloadSchema, bytes.ReplaceAll(payload, []byte("allow_symlinks"), []byte("allow_links"))); err == nil {
		t.Error("a payload without allow_symlinks is of the schema")
	}
}

// The digest is what a signature has as its root, and costs no signature.
func TestDigestDirectory(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	dir := writeTree(t, map[string]string{"config.json": "{\"a\":1}\n", "empty.bin": "", "model.safetensors": "weights", "model/tok.txt": "vocab\n", ".git/HEAD": "x"})
	res, err := c.DigestDirectory(t.Context(), dir, DirectoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if res.Root != "87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f" || res.Files != 4 || len(res.Resources) != 4 || !cmp.Equal(res.Ignored, []string{".git/"}) {
		t.Errorf("%+v", res)
	}
	res, err = c.DigestDirectory(t.Context(), dir, DirectoryOptions{ShardSize: 4})
	if err != nil {
		t.Fatal(err)
	}
	if res.Root != "8117e81d16099e012355902fb48fe6f475bee495e7d809092964264d80e0d47e" || len(res.Resources) != 6 || len(res.Warnings) != 1 {
		t.Errorf("%+v", res)
	}
	private, _ := makeKey(t)
	signed, err := c.SignDirectory(t.Context(), dir, "", SignOptions{Key: private, Password: password}, DirectoryOptions{ShardSize: 4})
	if err != nil {
		t.Fatal(err)
	}
	if signed.Root != res.Root || signed.Signature != dir+".sig" {
		t.Errorf("%+v", signed)
	}
	if err := os.Remove(signed.Signature); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryUsage(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	dir := writeTree(t, map[string]string{"w": "weights"})
	for name, d := range map[string]DirectoryOptions{
		"an unknown hash":      {HashType: "md5"},
		"a negative size":      {ShardSize: -1},
		"too many shards":      {ShardSize: 1, HashType: "sha256"},
		"ignoring outside":     {IgnorePaths: []string{"../x"}},
		"ignoring everything":  {IgnorePaths: []string{"."}},
		"ignoring by wildcard": {IgnorePaths: []string{"*"}},
		"ignoring absolutely":  {IgnorePaths: []string{"/etc"}},
	} {
		if name == "too many shards" {
			if err := os.Truncate(filepath.Join(dir, "w"), 200_000); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.DigestDirectory(t.Context(), dir, d); ClassOf(err) != ClassUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, public := makeKey(t)
	_, err := c.VerifyDirectory(t.Context(), dir, nil, DirectoryOptions{Trust: TrustOptions{Keys: []string{public}}})
	if ClassOf(err) != ClassNotFound {
		t.Errorf("no signature: %v", err)
	}
	_, err = c.VerifyDirectory(t.Context(), dir, make([]string, 100), DirectoryOptions{Trust: TrustOptions{Keys: []string{public}}})
	if ClassOf(err) != ClassUsage {
		t.Errorf("too many signatures: %v", err)
	}
	if _, err := DefaultSignature("/"); ClassOf(err) != ClassUsage {
		t.Errorf("the root: %v", err)
	}
}

// A link may not lead outside, whatever is allowed.
func TestDirectoryLinksStayInside(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	private, public := makeKey(t)
	dir := writeTree(t, map[string]string{"w": "weights"})
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	signature := filepath.Join(t.TempDir(), "model.sig")
	signer := SignOptions{Key: private, Password: password}
	if _, err := c.SignDirectory(t.Context(), dir, signature, signer, DirectoryOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []DirectoryOptions{{}, {FollowSymlinks: true}, {AllowSymlinks: true}} {
		if _, err := c.SignDirectory(t.Context(), dir, signature, signer, d); err == nil {
			t.Errorf("%+v: signed", d)
		}
		d.Trust.Keys, d.IgnoreUnsigned = []string{public}, true
		if _, err := c.VerifyDirectory(t.Context(), dir, []string{signature}, d); err == nil {
			t.Errorf("%+v: verified", d)
		}
	}
}
