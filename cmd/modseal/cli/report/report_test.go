package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const hostile = "x\n::error::no\r\nverified=true\n`|<b>&amp;@team ##[group]\x1b[31m"

func refused() Report {
	return Report{
		Command: "modseal verify", Target: hostile, Outcome: Refused, ExitCode: 3, Digest: "sha256:0f",
		Checks: []Check{
			{Name: "signature by release", Policy: "policies/release.yaml scope registry.example.com/ml", Found: hostile, Next: "sign it"},
			{Name: "files", Policy: "--key k.pub", Passed: true, Found: "no pickles"},
		},
		Error: "refused: " + hostile, Next: []string{"look"},
	}
}

// Whatever a stranger wrote, it is no value, no command, no markup.
func TestForeignTextStaysText(t *testing.T) {
	for name, f := range forms {
		text, err := f.write(refused())
		if err != nil {
			t.Fatal(err)
		}
		s := string(text)
		for i, l := range strings.Split(s, "\n") {
			switch name {
			case "outputs", "dotenv":
				if strings.HasPrefix(l, "verified=true") || strings.HasPrefix(l, "::") {
					t.Errorf("%s: line %d: %q", name, i, l)
				}
			case "annotations":
				if l != "" && !strings.HasPrefix(l, "::error file=policies/release.yaml,title=modseal verify%3A refused::") {
					t.Errorf("line %d: %q", i, l)
				}
			case "markdown":
				if strings.HasPrefix(l, "::") || strings.HasPrefix(l, "verified=") {
					t.Errorf("%s: line %d: %q", name, i, l)
				}
			}
		}
		if name != "json" && strings.ContainsRune(s, '\x1b') && name != "annotations" {
			t.Errorf("%s: a control character got through", name)
		}
	}
}

func TestValues(t *testing.T) {
	r := refused()
	got, err := outputs(r)
	if want := "digest=sha256:0f\nverified=false\nvsa=\noutcome=refused\nexit_code=3\nretry=false\n"; err != nil || string(got) != want {
		t.Errorf("got %q", got)
	}
	got, err = dotenv(Report{Outcome: Done, Digest: "sha256:1a", Verified: true, VSA: "sha256:2b"})
	if want := "MODSEAL_DIGEST=sha256:1a\nMODSEAL_VERIFIED=true\nMODSEAL_VSA=sha256:2b\nMODSEAL_OUTCOME=done\nMODSEAL_EXIT_CODE=0\nMODSEAL_RETRY=false\n"; err != nil || string(got) != want {
		t.Errorf("got %q", got)
	}
}

func TestAnnotations(t *testing.T) {
	for name, tt := range map[string]struct {
		r    Report
		want string
	}{
		"verified": {
			Report{Command: "modseal verify", Target: "r/m:v1", Digest: "sha256:0f", Verified: true},
			"::notice title=modseal verify%3A verified::r/m:v1 sha256:0f\n",
		},
		"transport": {
			Report{Command: "modseal pull", Target: "r/m:v1", Outcome: Transport, ExitCode: 7, Error: "r/m:v1: 100% busy", Next: []string{"wait"}},
			"::error title=modseal pull%3A transport%2C try again%3A work that was done is kept::r/m:v1: 100%25 busy%0Anext: wait\n",
		},
	} {
		if got, err := annotations(tt.r); err != nil || string(got) != tt.want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestJUnitTellsFailuresFromErrors(t *testing.T) {
	for outcome, want := range map[string][2]int{Refused: {2, 0}, Transport: {1, 1}, Drift: {2, 0}} {
		r := refused()
		r.Outcome = outcome
		text, err := junit(r)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Suites []struct {
				Tests    int `xml:"tests,attr"`
				Failures int `xml:"failures,attr"`
				Errors   int `xml:"errors,attr"`
				Cases    []struct {
					Name string `xml:"name,attr"`
				} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal(text, &got); err != nil || len(got.Suites) != 1 {
			t.Fatalf("%v: %s", err, text)
		}
		if s := got.Suites[0]; s.Failures != want[0] || s.Errors != want[1] || s.Tests != 3 || len(s.Cases) != 3 {
			t.Errorf("%s: %+v", outcome, s)
		}
	}
}

func TestLongReportsAreCut(t *testing.T) {
	r := refused()
	r.Error = strings.Repeat("long ", 100_000)
	for range 5_000 {
		r.Checks = append(r.Checks, Check{Name: "n", Found: r.Error})
	}
	for _, name := range []string{"markdown", "annotations"} {
		text, err := forms[name].write(r)
		if err != nil || len(text) > 1<<20 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	appended, replaced, missing := filepath.Join(dir, "out"), filepath.Join(dir, "report.json"), filepath.Join(dir, "no", "such")
	for _, f := range []string{appended, replaced} {
		if err := os.WriteFile(f, []byte("before\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var stderr bytes.Buffer
	err := Write(refused(), []Sink{{"digest", missing}, {"outputs", appended}, {"json", replaced}, {"exit_code", Stderr}}, &stderr)
	if err == nil || !strings.Contains(err.Error(), "report digest") {
		t.Errorf("got %v", err)
	}
	text, err := os.ReadFile(appended)
	if err != nil || !strings.HasPrefix(string(text), "before\ndigest=") {
		t.Errorf("%q, %v", text, err)
	}
	raw, err := os.ReadFile(replaced)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	var got Report
	if err := dec.Decode(&got); err != nil || got.Outcome != Refused {
		t.Errorf("%s: %v", raw, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Errorf("more than one document: %s", raw)
	}
	if stderr.String() != "3" {
		t.Errorf("standard error has %q", &stderr)
	}
}

func TestParseSink(t *testing.T) {
	if s, err := ParseSink("markdown=a=b"); err != nil || s != (Sink{"markdown", "a=b"}) {
		t.Errorf("%v, %v", s, err)
	}
	for _, bad := range []string{"", "markdown", "markdown=", "yaml=x", "=x"} {
		if _, err := ParseSink(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}
