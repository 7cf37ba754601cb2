package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/hack/samplemodel"
)

// The registry that modseal serves from a directory of layouts passes the conformance
// suite of the distribution specification, and serves what came of it when it is
// started again.
func TestServeConformance(t *testing.T) {
	suite := conformanceSuite(t)
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "home"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		served := startServing(t, program, dir, "serve", "registry")
		outcomes := conform(t, suite, served.host, "OCI_API_BLOBS_UPLOAD_CANCEL=true")
		served.stop()
		count := map[string]int{}
		for name, statuses := range outcomes {
			for _, status := range statuses {
				count[status]++
				// To mount from wherever a blob is found is left to the registry.
				if status != "passed" && !(status == "skipped" && strings.Contains(name, "/mount anonymous/")) {
					t.Errorf("%s: %s", name, status)
				}
			}
		}
		t.Logf("the outcomes: %v", count)
		if count["passed"] < 600 {
			t.Errorf("the outcomes are %v: more than 600 tests are to pass", count)
		}
	}
}

// The registry that modseal serves from an archive passes the pull and content
// discovery parts of the conformance suite of the distribution specification, in
// the form that the suite has for registries that cannot be written to.
func TestArchiveConformance(t *testing.T) {
	suite := conformanceSuite(t)
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	host, stop := serveArchive(t, program, dir)
	defer stop()
	manifest := servedManifestOf(t, host, "team/llama", "v1")
	var blobs []string
	for _, b := range append(manifest.Layers, manifest.Config) {
		blobs = append(blobs, b.Digest)
	}
	// Not OCI_API_MANIFESTS_DIGEST_HEADER: the suite looks for the header only where it
	// knows the manifest, and misses it where it does not. The tests of the package
	// look for it.
	out, _ := runConformance(
		t, suite, host, t.TempDir(),
		"OCI_API_PUSH=false", "OCI_API_BLOBS_DELETE=false", "OCI_API_MANIFESTS_DELETE=false", "OCI_API_TAGS_DELETE=false",
		"OCI_REPO1=team/llama", "OCI_RO_DATA_TAGS=v1 v2", "OCI_RO_DATA_MANIFESTS="+manifest.digest,
		"OCI_RO_DATA_BLOBS="+strings.Join(blobs, " "), "OCI_RO_DATA_REFERRERS="+manifest.digest,
	)
	// Without pushes the suite prints what it found, and then panics over its reports
	// (ReportResultsYAML, as of 97274622c111).
	count := map[string]int{}
	for _, m := range conformanceOutcome.FindAllSubmatch(out, -1) {
		count[string(m[2])]++
		if outcome := string(m[2]); outcome != "Pass" && outcome != "Disabled" {
			t.Errorf("%s: %s", m[1], outcome)
		}
	}
	t.Logf("the outcomes: %v", count)
	// A suite that tested next to nothing proves next to nothing: HEAD and GET of two
	// tags, a manifest and each blob, the list of tags, that of referrers.
	if least := 2*(2+1+len(blobs)) + 2; count["Pass"] < least {
		t.Errorf("the outcomes are %v: at least %d tests are to pass\n%s", count, least, out)
	}
}

// conformanceOutcome is a line of what the suite prints.
var conformanceOutcome = regexp.MustCompile(`(?m)^\s*(OCI Conformance Test/\S.*): (\S+)$`)

type servedManifest struct {
	digest string
	Config struct{ Digest string }
	Layers []struct{ Digest string }
}

func servedManifestOf(t *testing.T, host, repository, tag string) servedManifest {
	t.Helper()
	resp, err := http.Get("http://" + host + "/v2/" + repository + "/manifests/" + tag)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := servedManifest{digest: resp.Header.Get("Docker-Content-Digest")}
	if err := json.Unmarshal(raw, &m); err != nil || len(m.Layers) == 0 {
		t.Fatalf("%v: %s", err, raw)
	}
	return m
}

// serveArchive serves an archive with two tags of a signed model.
func serveArchive(t *testing.T, program, dir string) (host string, stop func()) {
	t.Helper()
	run := func(args ...string) {
		t.Helper()
		p := newProcess(t, program, dir, args, soakEnvironment(dir))
		if err := p.wait(); err != nil {
			t.Fatalf("modseal %s: %v\n%s", strings.Join(args, " "), err, p.output())
		}
	}
	for _, name := range []string{"home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := samplemodel.Write(filepath.Join(dir, "model"), samplemodel.Options{Size: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	run("keygen", "--output-key-prefix", "k")
	registry := startServing(t, program, dir, "serve", "registry")
	run("push", "model", registry.host+"/team/llama:v1", "--key", "k.key")
	run("copy", registry.host+"/team/llama:v1", registry.host+"/team/llama:v2")
	run("save", registry.host+"/team/llama:v1", registry.host+"/team/llama:v2", "-o", "model.tar", "--key", "k.pub")
	registry.stop()
	served := startServing(t, program, dir, "serve", "archive:model.tar")
	return served.host, served.stop
}

type serving struct {
	host string
	stop func()
}

// startServing starts a server and waits until it says where it listens.
func startServing(t *testing.T, program, dir string, args ...string) serving {
	t.Helper()
	cmd := exec.Command(program, append(args, "--listen", "127.0.0.1:0")...)
	cmd.Dir, cmd.Env = dir, soakEnvironment(dir)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := serving{stop: func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}}
	for range 1200 {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			t.Fatal(err)
		}
		if m := listening.FindSubmatch(text); m != nil {
			s.host = string(m[1])
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("modseal %s does not listen:\n%s", strings.Join(args, " "), bytes.TrimSpace(text))
	return s
}
