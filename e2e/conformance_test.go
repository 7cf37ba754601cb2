package e2e_test

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/e2e/registrytest"
)

// With no fault set, the registry of the scripts is honest: the conformance
// suite of the OCI distribution specification finds in it what it finds in the
// registry behind it, test by test. What the scripts show about faults rests on
// that. The suite is a tool of this module (go.mod); it cannot be missing where
// the module was fetched.
func TestConformance(t *testing.T) {
	suite := conformanceSuite(t)
	handler, stop, err := registrytest.Handler(registrytest.Olareg, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	alone := httptest.NewServer(handler)
	want := conform(t, suite, strings.TrimPrefix(alone.URL, "http://"))
	alone.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}

	r, err := registrytest.Start(registrytest.Olareg, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got := conform(t, suite, r.Host)
	if err := r.Close(); err != nil {
		t.Error(err)
	}

	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the front changes what the registry does (-alone +behind the front):\n%s", diff)
	}
	count := map[string]int{}
	for _, statuses := range got {
		for _, status := range statuses {
			count[status]++
		}
	}
	t.Logf("the outcomes: %v", count)
	// A suite that tested next to nothing proves next to nothing.
	if count["passed"] < 600 || count["failure"] > 0 || count["error"] > 0 {
		t.Errorf("the outcomes are %v: olareg passes more than 600 tests and fails none", count)
	}
}

// conformanceSuite builds the suite.
func conformanceSuite(t *testing.T) string {
	t.Helper()
	suite := filepath.Join(t.TempDir(), "conformance")
	build := exec.Command("go", "build", "-o", suite, "github.com/opencontainers/distribution-spec/conformance")
	if out, err := build.CombinedOutput(); err != nil {
		missing(t, "the conformance suite does not build: "+string(out))
	}
	return suite
}

// runConformance runs the suite, with more settings in the form of its environment,
// and returns what it says, and how it ended if that was badly.
func runConformance(t *testing.T, suite, host, results string, settings ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, suite)
	cmd.Dir = results
	cmd.Env = append(
		os.Environ(), "OCI_REGISTRY="+host, "OCI_TLS=disabled", "OCI_REPO1=conformance/one", "OCI_REPO2=conformance/two",
		"OCI_RESULTS_DIR="+results, "OCI_DATA_SHA512=true", "OCI_LOG=error",
	)
	cmd.Env = append(cmd.Env, settings...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out)
	}
	return out, err
}

// conform runs the suite against a registry and returns the outcomes of the
// tests of each name, sorted: what depends on the order of a Go map goes in
// another order each time.
func conform(t *testing.T, suite, host string, settings ...string) map[string][]string {
	t.Helper()
	results := t.TempDir()
	// It fails when a test does: what the tests came to is in the report.
	out, failed := runConformance(t, suite, host, results, settings...)
	report, err := os.ReadFile(filepath.Join(results, "junit.xml"))
	if err != nil {
		t.Fatalf("%v, %v\n%s", err, failed, out)
	}
	var suites struct {
		Tests []struct {
			Name   string `xml:"name,attr"`
			Status string `xml:"status,attr"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(report, &suites); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string][]string{}
	for _, test := range suites.Tests {
		outcomes[test.Name] = append(outcomes[test.Name], test.Status)
	}
	for _, statuses := range outcomes {
		slices.Sort(statuses)
	}
	return outcomes
}
