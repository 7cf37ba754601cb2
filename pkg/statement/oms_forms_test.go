package statement_test

import (
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/statement"
)

// legacyPayload has the form of model_signing 0.2.0, with the files of the worked
// example.
const legacyPayload = `{
  "_type": "https://in-toto.io/Statement/v1",
  "subject": [
    {
      "name": "config.json",
      "digest": {
        "sha256": "e346432021b04179518d9614f3560ccd71354a4ee101ddcb893d6959a9d6301c"
      },
      "annotations": {
        "actual_hash_algorithm": "file-sha256"
      }
    },
    {
      "name": "model/tok.txt",
      "digest": {
        "sha256": "9e5e90102c699455e9039ff903284e0689394dd345bb11456706f087984d2eb7"
      },
      "annotations": {
        "actual_hash_algorithm": "file-sha256"
      }
    }
  ],
  "predicateType": "https://model_signing/Digests/v0.1",
  "predicate": {
    "unused": "Unused, just passed due to API requirements"
  }
}`

// exampleShards are the shards of the worked example, 4 bytes each.
func exampleShards(t *testing.T, hashType string) []statement.Resource {
	t.Helper()
	var out []statement.Resource
	for name, content := range exampleFiles {
		for _, s := range statement.Shards(name, int64(len(content)), 4) {
			h := newHash(t, hashType)
			h.Write([]byte(content[s.Start:s.End]))
			out = append(out, statement.Resource{Name: s.Name, Digest: hex.EncodeToString(h.Sum(nil)), Algorithm: hashType})
		}
	}
	return out
}

func newHash(t *testing.T, hashType string) hash.Hash {
	t.Helper()
	h, err := statement.NewHash(hashType)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The digests of "abc": FIPS 180-4, RFC 7693 appendix A, and the test vectors of
// BLAKE3 for the empty input.
func TestNewHash(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ hashType, input, want string }{
		{"sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"blake2b", "abc", "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"},
		{"blake3", "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
	} {
		h := newHash(t, row.hashType)
		h.Write([]byte(row.input))
		if got := hex.EncodeToString(h.Sum(nil)); got != row.want {
			t.Errorf("%s: %s", row.hashType, got)
		}
	}
	for _, unknown := range []string{"", "md5", "SHA256", "blake2"} {
		if _, err := statement.NewHash(unknown); !errors.Is(err, statement.ErrInvalid) {
			t.Errorf("%q: %v", unknown, err)
		}
	}
}

func TestNewOMSOfShards(t *testing.T) {
	t.Parallel()
	o, err := statement.NewOMSOf("demo", exampleShards(t, "sha256"), statement.OMSOptions{ShardSize: 4})
	if err != nil {
		t.Fatal(err)
	}
	if o.Root != shardsRoot || o.Method != statement.MethodShards {
		t.Errorf("root %s, method %s", o.Root, o.Method)
	}
	payload, err := o.Payload()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(payload); strings.Contains(text, "-sharded-") || !strings.Contains(text, `"shard_size":4,`) {
		t.Errorf("payload %s", text)
	}
	again, err := statement.ParseOMS(payload)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, again); diff != "" {
		t.Error(diff)
	}
}

// With the suffix, which both reference implementations demand, the root stays
// the same.
func TestShardSuffix(t *testing.T) {
	t.Parallel()
	o, err := statement.NewOMSOf("demo", exampleShards(t, "blake3"), statement.OMSOptions{HashType: "blake3", ShardSize: 4, ShardSuffix: true})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := o.Payload()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(payload), `"algorithm":"blake3-sharded-4"`); n != 6 {
		t.Errorf("%d shards of 6 have the suffix: %s", n, payload)
	}
	again, err := statement.ParseOMS(payload)
	if err != nil {
		t.Fatal(err)
	}
	if again.Root != o.Root || !cmp.Equal(again.Relaxations, []statement.Relaxation{statement.RelaxedShardAlgorithm}) {
		t.Errorf("root %s, want %s; relaxations %q", again.Root, o.Root, again.Relaxations)
	}
	// Files have no suffix, whatever is asked.
	o, err = statement.NewOMSOf("demo", exampleResources(), statement.OMSOptions{ShardSuffix: true})
	if err != nil {
		t.Fatal(err)
	}
	if payload, err = o.Payload(); err != nil || string(payload) != examplePayload {
		t.Errorf("%v: %s", err, payload)
	}
}

func TestNewOMSOfOptions(t *testing.T) {
	t.Parallel()
	long := statement.Resource{Name: "a", Digest: strings.Repeat("ab", 64), Algorithm: "blake2b"}
	o, err := statement.NewOMSOf("m", []statement.Resource{long}, statement.OMSOptions{
		HashType: "blake2b", AllowSymlinks: true, GitPaths: true, IgnorePaths: []string{"tmp"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.HashType != "blake2b" || !o.AllowSymlinks || !cmp.Equal(o.IgnorePaths, []string{"tmp"}) {
		t.Errorf("%+v", o)
	}
	for name, row := range map[string]struct {
		resources []statement.Resource
		options   statement.OMSOptions
	}{
		"a file among shards":      {[]statement.Resource{{Name: "a", Digest: sum("a"), Algorithm: "sha256"}}, statement.OMSOptions{ShardSize: 4}},
		"a shard that is too long": {[]statement.Resource{{Name: "a:0:5", Digest: sum("a"), Algorithm: "sha256"}}, statement.OMSOptions{ShardSize: 4}},
		"a single file by .":       {[]statement.Resource{{Name: ".:0:4", Digest: sum("a"), Algorithm: "sha256"}}, statement.OMSOptions{ShardSize: 4}},
		"negative shards":          {[]statement.Resource{{Name: "a:0:4", Digest: sum("a"), Algorithm: "sha256"}}, statement.OMSOptions{ShardSize: -4}},
		"another hash":             {[]statement.Resource{long}, statement.OMSOptions{HashType: "sha256"}},
		"unknown hash":             {[]statement.Resource{long}, statement.OMSOptions{HashType: "md5"}},
		"ignoring a shard's file":  {[]statement.Resource{{Name: "a:0:4", Digest: sum("a"), Algorithm: "sha256"}}, statement.OMSOptions{ShardSize: 4, IgnorePaths: []string{"a"}}},
	} {
		if _, err := statement.NewOMSOf("m", row.resources, row.options); !errors.Is(err, statement.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRelaxationsAreNamed(t *testing.T) {
	t.Parallel()
	withIgnore := filesMethod + `,"ignore_paths":[]`
	for name, row := range map[string]struct {
		payload string
		want    []statement.Relaxation
	}{
		"what is written today": {examplePayload, nil},
		"nothing is ignored":    {one([]string{"a"}, withIgnore), nil},
		"no ignore_paths":       {one([]string{"a"}, filesMethod), []statement.Relaxation{statement.RelaxedIgnorePaths}},
		"order":                 {one([]string{"b", "a"}, withIgnore), []statement.Relaxation{statement.RelaxedOrder}},
		"single file":           {one([]string{"."}, withIgnore), []statement.Relaxation{statement.RelaxedSingleFile}},
		"a later minor version": {strings.Replace(examplePayload, "signature/v1.0", "signature/v1.7", 1), []statement.Relaxation{statement.RelaxedMinorVersion}},
		"as Python writes shards": {shards("sha256-sharded-4", "4.0"), []statement.Relaxation{
			statement.RelaxedShardSize, statement.RelaxedIgnorePaths, statement.RelaxedShardAlgorithm,
		}},
	} {
		o, err := statement.ParseOMS([]byte(row.payload))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(row.want, o.Relaxations); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if statement.RelaxedOrder.Conforms() || !statement.RelaxedIgnorePaths.Conforms() {
		t.Error("absent ignore_paths, and nothing else, is what the specification has too")
	}
}

func TestIgnoredLeavesOutWhatIsSigned(t *testing.T) {
	t.Parallel()
	o, err := statement.ParseOMS([]byte(one([]string{".git/config", "a"}, filesMethod+`,"ignore_paths":["tmp/"]`)))
	if err != nil {
		t.Fatal(err)
	}
	ignored := o.Ignored()
	for p, want := range map[string]bool{".git/config": false, ".git/other": false, ".github/x": true, "tmp": true, "tmp/x": true, "a": false} {
		if ignored.Hold(p) != want {
			t.Errorf("%q: %t", p, !want)
		}
	}
}

func TestParseOMSLegacy(t *testing.T) {
	t.Parallel()
	o, err := statement.ParseOMSLegacy([]byte(legacyPayload))
	if err != nil {
		t.Fatal(err)
	}
	want := []statement.Resource{
		{Name: "config.json", Digest: sum(exampleFiles["config.json"]), Algorithm: "sha256"},
		{Name: "model/tok.txt", Digest: sum(exampleFiles["model/tok.txt"]), Algorithm: "sha256"},
	}
	if diff := cmp.Diff(want, o.Resources); diff != "" {
		t.Error(diff)
	}
	if o.Relaxations[0] != statement.RelaxedPredicate || o.Method != "files" || o.HashType != "sha256" {
		t.Errorf("%+v", o)
	}
	if statement.IsOMS(o.PredicateType) {
		t.Error("it passes for the predicate of today")
	}
	for name, edit := range map[string][2]string{
		"statement v0.1":       {"Statement/v1", "Statement/v0.1"},
		"another predicate":    {"Digests/v0.1", "ShardDigests/v0.1"},
		"shards":               {"file-sha256", "file-sha256-1000000"},
		"no algorithm":         {`"actual_hash_algorithm"`, `"x"`},
		"digest by sha512":     {`"sha256": "e346`, `"sha512": "e346`},
		"upwards":              {`"config.json"`, `"../config.json"`},
		"twice":                {`"model/tok.txt"`, `"config.json"`},
		"upper case":           {`"e346`, `"E346`},
		"more in a predicate":  {`"unused"`, `"resources"`},
		"more in a statement":  {`"predicate":`, `"x": 1, "predicate":`},
		"one of many called .": {`"config.json"`, `"."`},
	} {
		if !strings.Contains(legacyPayload, edit[0]) {
			t.Fatalf("%s: the payload has no %q", name, edit[0])
		}
		if _, err := statement.ParseOMSLegacy([]byte(strings.Replace(legacyPayload, edit[0], edit[1], 1))); !errors.Is(err, statement.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
