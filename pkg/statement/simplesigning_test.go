package statement_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/statement"
)

// simple is a payload as cosign 2 wrote it.
const simple = `{"critical":{"identity":{"docker-reference":"registry.example.com/team/model"},"image":{"docker-manifest-digest":"sha256:87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f"},"type":"cosign container image signature"},"optional":{"creator":"a","nested":{"x":[1]}}}`

func TestParseSimpleSigning(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"cosign's":      simple,
		"null optional": strings.Replace(simple, `{"creator":"a","nested":{"x":[1]}}`, "null", 1),
		"no optional":   strings.Replace(simple, `,"optional":{"creator":"a","nested":{"x":[1]}}`, "", 1),
		"other order":   `{"optional":null,"critical":{"type":"cosign container image signature","image":{"docker-manifest-digest":"sha256:87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f"},"identity":{"docker-reference":"registry.example.com/team/model"}}}`,
	} {
		s, err := statement.ParseSimpleSigning([]byte(payload))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Digest != "sha256:87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f" || s.Reference != "registry.example.com/team/model" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestParseSimpleSigningRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range map[string][3]string{
		"another type":            {"cosign container image signature", "atomic container signature", "critical.type"},
		"no type":                 {`,"type":"cosign container image signature"`, "", "critical.type"},
		"type in another case":    {`"type":`, `"Type":`, "unknown"},
		"digest in another case":  {`"docker-manifest-digest"`, `"Docker-manifest-digest"`, "unknown"},
		"no digest":               {`"docker-manifest-digest":"sha256:87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f"`, "", "docker-manifest-digest"},
		"short digest":            {"87a0", "", "docker-manifest-digest"},
		"two digests":             {`{"docker-manifest-digest"`, `{"docker-manifest-digest":"x","docker-manifest-digest"`, "twice"},
		"two images":              {`"image":`, `"image":{"docker-manifest-digest":"x"},"image":`, "twice"},
		"two critical parts":      {`{"critical":`, `{"critical":{},"critical":`, "twice"},
		"unknown critical member": {`"critical":{`, `"critical":{"expires":1,`, "unknown"},
		"digest a list":           {`"sha256:87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f"`, `["sha256:87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f"]`, "not a string"},
		"a key twice in optional": {`"creator":"a"`, `"creator":"a","creator":"b"`, "twice"},
		"not JSON":                {`"optional"`, `optional`, "not JSON"},
		"too large":               {`"creator":"a"`, `"creator":"` + strings.Repeat("a", limits.SimpleSigningBytes) + `"`, "more than"},
	} {
		payload := strings.Replace(simple, row[0], row[1], 1)
		if payload == simple {
			t.Fatalf("%s: the row changes nothing", name)
		}
		s, err := statement.ParseSimpleSigning([]byte(payload))
		if !errors.Is(err, statement.ErrInvalid) || !strings.Contains(err.Error(), row[2]) || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func FuzzParseSimpleSigning(f *testing.F) {
	f.Add([]byte(simple))
	f.Add([]byte(strings.Replace(simple, `{"creator":"a","nested":{"x":[1]}}`, "null", 1)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := statement.ParseSimpleSigning(payload)
		if err != nil {
			if !errors.Is(err, statement.ErrInvalid) || s != nil {
				t.Fatalf("%v, %v", s, err)
			}
			return
		}
		if s.Digest.Validate() != nil || s.Digest.Algorithm() != digest.SHA256 && s.Digest.Algorithm() != digest.SHA512 {
			t.Fatalf("accepted digest %q", s.Digest)
		}
	})
}
