//go:build unix

package modseal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/lineage"
)

// family is three models, each made from the next, on a registry that answers as it
// is told for what is attached to one of them.
type family struct {
	client *Client
	target string // the youngest: team/tuned
	base   string // hub/base, that it was made from
	// The key of who signed all of them.
	private, key string
	// Of the repository spoilt every request whose path has part is answered by answer.
	spoilt, part string
	answer       http.HandlerFunc
}

func startFamily(t *testing.T) *family {
	t.Helper()
	registry := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}})
	f := &family{client: newClient(t)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.answer != nil && strings.HasPrefix(r.URL.Path, "/v2/"+f.spoilt+"/") && strings.Contains(r.URL.Path, f.part) {
			f.answer(w, r)
			return
		}
		registry.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		_ = registry.Close()
	})
	private, public := plainKey(t)
	f.private, f.key = private, public
	host := strings.TrimPrefix(server.URL, "http://") + "/"
	from := ""
	for _, name := range []string{"hub/oldest", "hub/base", "team/tuned"} {
		f.target = host + name + ":v1"
		annotations := map[string]string{}
		if from != "" {
			annotations["org.opencontainers.image.base.name"] = from
		}
		if _, err := f.client.Push(t.Context(), makeModel(t), f.target, PackOptions{Annotations: annotations, Signer: &SignOptions{Key: private, Password: password}}); err != nil {
			t.Fatal(err)
		}
		from = f.target
	}
	f.base = host + "hub/base:v1"
	return f
}

// states are those of the models by repository.
func states(g *lineage.Graph) map[string]lineage.State {
	out := map[string]lineage.State{}
	for _, n := range g.Nodes {
		if n.Kind != lineage.KindModel {
			continue
		}
		repository := n.Reference[strings.IndexByte(n.Reference, '/')+1:]
		out[repository[:strings.IndexAny(repository, ":@")]] = n.State
	}
	return out
}

// A list of referrers in so many ways that it cannot be read.
var unreadable = map[string]http.HandlerFunc{
	"refused by the registry": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
	"malformed": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		_, _ = w.Write([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":5}]}`))
	},
	"too many": func(w http.ResponseWriter, _ *http.Request) {
		entries := make([]ocispec.Descriptor, 10_000)
		for i := range entries {
			entries[i] = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 700}
		}
		raw, _ := artifacttypes.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		_, _ = w.Write(raw)
	},
}

// Whoever can spoil the list of one ancestor's referrers keeps nobody from seeing the
// others, and makes nothing verified.
func TestLineageOfAnAncestorThatCannotBeRead(t *testing.T) {
	f := startFamily(t)
	f.spoilt, f.part = "hub/base", "/referrers/"
	for name, answer := range unreadable {
		t.Run(name, func(t *testing.T) {
			f.answer = answer
			g, err := f.client.Lineage(t.Context(), f.target, LineageOptions{Trust: TrustOptions{Keys: []string{f.key}}})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]lineage.State{"team/tuned": lineage.Accepted, "hub/base": lineage.Unreadable, "hub/oldest": lineage.Accepted}
			got := states(g)
			for repository, state := range want {
				if got[repository] != state {
					t.Errorf("%s is %q, not %q", repository, got[repository], state)
				}
			}
			for _, e := range g.Edges {
				if e.Verified() && e.From != g.Root {
					t.Errorf("a step is verified that a manifest nobody could verify tells of: %+v", e)
				}
			}
			checkUnreadableIsShown(t, g)

			// Without anybody to trust it is said as well: its provenance is not known.
			if g, err = f.client.Lineage(t.Context(), f.target, LineageOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := states(g); got["hub/base"] != lineage.Unreadable || got["hub/oldest"] != lineage.Unverified {
				t.Errorf("without trust: %v", got)
			}
		})
	}
}

func checkUnreadableIsShown(t *testing.T, g *lineage.Graph) {
	t.Helper()
	const words = "not verified: referrers could not be read"
	if all := strings.Join(g.Unproven, "\n"); !strings.Contains(all, words+": ") {
		t.Errorf("unproven: %q", all)
	}
	if len(g.Warnings) == 0 {
		t.Error("nobody is warned")
	}
	document, err := json.Marshal(g)
	if err != nil || !bytes.Contains(document, []byte(`"state":"unreadable"`)) || !bytes.Contains(document, []byte(words)) {
		t.Errorf("%v: %s", err, document)
	}
	var dot, mermaid, svg bytes.Buffer
	for _, err := range []error{g.DOT(&dot), g.Mermaid(&mermaid), g.SVG(&svg)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, drawing := range []string{dot.String(), mermaid.String(), svg.String()} {
		if !strings.Contains(drawing, words) {
			t.Errorf("not in the drawing:\n%s", drawing)
		}
	}
}

// What cannot be read of the target itself is an error, of the class that it was.
func TestLineageOfATargetThatCannotBeRead(t *testing.T) {
	f := startFamily(t)
	f.spoilt, f.part = "team/tuned", "/referrers/"
	for name, class := range map[string]Class{"refused by the registry": ClassUnauthorized, "too many": ClassRefused} {
		f.answer = unreadable[name]
		if _, err := f.client.Lineage(t.Context(), f.target, LineageOptions{}); ClassOf(err) != class {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A model nobody can decide on is no reason not to show the others: its policy asks
// about a config that is not there, or names a trusted root that is not.
func TestLineageOfAnAncestorThatIsUndecided(t *testing.T) {
	f := startFamily(t)
	byKey := "\n  requirements:\n  - signature: {signers: [{name: team, key: " + f.key + "}]}\n"
	byKeyless := "\n  requirements:\n  - signature: {signers: [{name: hub, keyless: {issuer: 'https://issuer.example', identity: 'a@example.com', trustedRoot: hub}}]}\n"
	config := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	if _, err := f.client.Attest(t.Context(), f.base, attestWith(f.private, "slsaprovenance1", provenanceOf(1, func(int) string { return `{"name":"dataset","uri":"https://data.example.com/x"}` }))); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		policy string
		answer http.HandlerFunc
	}{
		"its config cannot be read": {"- prefix: '*'" + byKey + "  - conditions:\n    - config.licenses.size() > 0\n", config},
		"there is no trusted root":  {"- prefix: '*'" + byKey + "- prefix: '" + f.base[:strings.LastIndexByte(f.base, ':')] + "'" + byKeyless, nil},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "policy.yaml")
			if err := os.WriteFile(file, []byte("version: 1\ndefault: reject\ntrustedRoots: [{name: hub, file: nosuch.json}]\nscopes:\n"+row.policy), 0o600); err != nil {
				t.Fatal(err)
			}
			f.spoilt, f.part, f.answer = "hub/base", "/blobs/", row.answer
			g, err := f.client.Lineage(t.Context(), f.target, LineageOptions{Trust: TrustOptions{PolicyFiles: []string{file}}})
			if err != nil {
				t.Fatal(err)
			}
			if got := states(g); got["team/tuned"] != lineage.Accepted || got["hub/base"] != lineage.Undecided || got["hub/oldest"] != lineage.Accepted {
				t.Errorf("%v: %q", got, g.Unproven)
			}
		})
	}
}
