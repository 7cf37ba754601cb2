package verify_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/virtual"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// What the policies of the table say for short.
var shorthand = strings.NewReplacer(
	"$release", "{name: release, key: release.pub}",
	"$backup", "{name: backup, key: backup.pub}",
	"$again", "{name: release-again, key: 'awskms:///alias/release'}",
	"$kms1", "{name: backup, key: 'awskms:///alias/one'}",
	"$kms2", "{name: p384, key: 'awskms:///alias/two'}",
	"$ci", "{name: ci, keyless: {issuer: 'https://issuer.example.com', identity: 'https://ci.example.com/build@refs/heads/main'}}",
	"$alice", "{name: alice, certificate: {roots: corp.pem, identity: alice@example.com}}",
	"$slsa", "'https://slsa.dev/provenance/v1'",
)

const (
	issuer   = "https://issuer.example.com"
	workflow = "https://ci.example.com/build@refs/heads/main"
	slsa     = "https://slsa.dev/provenance/v1"
	invalid  = "invalid policy"
	noScope  = "no scope"
)

// row is one decision: a policy, an artifact with what is attached to it, and
// what comes of it. The policy is a document, or the requirements of a scope for
// everything.
type decisionRow struct {
	name     string
	policy   string
	evidence [][]byte
	model    *model // nil: demo
	want     string
	says     []string
	edit     func(*verify.Ruling) // of the trust and the time of the decision
	second   string               // another policy, which must accept too
	subject  string               // its name; empty: registry.example.com/team/demo
	memory   *verify.Memory       // what is to be remembered; nil: not compared
}

// world is what the policies of the table trust, and who signs.
type world struct {
	t           *testing.T
	one, two    *virtual.Sigstore
	corp, rival *virtual.Authority
	root        *trust.Root
	digest      digest.Digest
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, one: virtual.New(t, "one"), two: virtual.New(t, "two"),
		corp:   virtual.NewAuthority(t, "corp", time.Time{}, time.Time{}),
		rival:  virtual.NewAuthority(t, "corp", time.Time{}, time.Time{}),
		digest: demo().subject(t).Descriptor.Digest,
	}
	w.root = w.trustedRoot(virtual.RootOptions{})
	return w
}

func (w *world) trustedRoot(o virtual.RootOptions) *trust.Root {
	w.t.Helper()
	r, err := trust.ParseRoot("one", w.one.Root(w.t, o))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) authority(a *virtual.Authority) trust.Authority {
	w.t.Helper()
	out, err := trust.ParseAuthority("corp", a.Root(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) trust() verify.Trust {
	t := trusted()
	t.Authorities = map[string]trust.Authority{"alice": w.authority(w.corp), "alice-old": w.authority(w.rival), "anybody": w.authority(w.corp)}
	t.Roots = map[string]*trust.Root{"one": w.root}
	return t
}

// key is a signature of the model by a key of the tests.
func (w *world) key(name string, c virtual.Claim) []byte {
	return w.keyBundle(name, c).JSON(w.t)
}

func (w *world) keyBundle(name string, c virtual.Claim) virtual.Bundle {
	k := keys()[name]
	return w.one.Key(w.t, k.private, k.CosignHint(), w.claim(c))
}

// claim is about the model unless it says otherwise.
func (w *world) claim(c virtual.Claim) virtual.Claim {
	if c.Payload == nil {
		c.Payload = cosign(w.t, w.digest)
	}
	return c
}

func (w *world) keyless(id virtual.Identity, c virtual.Claim) []byte {
	return w.keylessBundle(id, c).JSON(w.t)
}

func (w *world) keylessBundle(id virtual.Identity, c virtual.Claim) virtual.Bundle {
	if id.Subject == "" {
		id.Subject = workflow
	}
	if id.Issuer == "" {
		id.Issuer = issuer
	}
	return w.one.Keyless(w.t, id, w.claim(c))
}

func (w *world) certificate(l virtual.Leaf, c virtual.Claim) []byte {
	if l.Emails == nil && l.CommonName == "" {
		l.Emails = []string{"alice@example.com"}
	}
	return w.one.Certificate(w.t, w.corp.Issue(w.t, l), w.claim(c)).JSON(w.t)
}

// rule reads a policy of the table.
func (w *world) rule(r decisionRow, text, subject string) (verify.Ruling, error) {
	if !strings.HasPrefix(text, "version:") {
		text = "version: 1\ndefault: reject\ntrustedRoots: [{name: one, file: one.json}]\nscopes:\n- prefix: '*'\n  requirements:\n  " +
			strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
	}
	p, err := policy.Parse("policy.yaml", []byte(shorthand.Replace(text)))
	if err != nil {
		return verify.Ruling{}, err
	}
	rules, err := p.Rules(subject)
	ruling := verify.Ruling{Rules: rules, Trust: w.trust()}
	if r.edit != nil {
		r.edit(&ruling)
	}
	return ruling, err
}

// decide returns how a row comes out, and everything that is said.
func (w *world) decide(t *testing.T, r decisionRow) (got, text string, report *verify.Report) {
	t.Helper()
	m := r.model
	if m == nil {
		demo := demo()
		m = &demo
	}
	s := m.subject(t)
	if r.subject != "" {
		s.Name = r.subject
	}
	var rulings []verify.Ruling
	now := time.Now() // one for Verify and Explain, which tell it
	for _, text := range []string{r.policy, r.second} {
		if text == "" {
			continue
		}
		ruling, err := w.rule(r, text, s.Name)
		var none *policy.NoScopeError
		switch {
		case errors.As(err, &none):
			return noScope, err.Error(), nil
		case err != nil:
			return invalid, err.Error(), nil
		}
		if ruling.Trust.Now.IsZero() {
			ruling.Trust.Now = now
		}
		rulings = append(rulings, ruling)
	}
	v, err := verify.Verify(t.Context(), s, evidence(r.evidence...), rulings...)
	explained, explainError := verify.Explain(t.Context(), s, evidence(r.evidence...), rulings...)
	var refusal *verify.Refusal
	var no *verify.Undecided
	switch {
	case err == nil:
		compareReports(t, v.Report(), explained, string(v.Report().Decision))
		out := v.Report()
		return string(out.Decision), toJSON(t, out), &out
	case errors.As(err, &refusal):
		compareReports(t, verify.Report{Requirements: refusal.Requirements, Checks: refusal.Checks}, explained, refused)
		return refused, tellRefusal(t, refusal), nil
	case errors.As(err, &no):
		if explainError == nil || no.Next == "" {
			t.Errorf("Explain: %v; next %q", explainError, no.Next)
		}
		return undecided, err.Error(), nil
	}
	t.Fatal(err)
	return "", "", nil
}

// compareReports makes sure that both verbs say the same.
func compareReports(t *testing.T, verified, explained verify.Report, decision string) {
	t.Helper()
	if string(explained.Decision) != decision || toJSON(t, verified.Requirements) != toJSON(t, explained.Requirements) || toJSON(t, verified.Checks) != toJSON(t, explained.Checks) {
		t.Errorf("Explain says %s\n%s\nand Verify %s\n%s", explained.Decision, toJSON(t, explained), decision, toJSON(t, verified))
	}
	for _, r := range explained.Requirements {
		if r.Kind == "" || r.Name == "" || r.LookedFor == "" || r.Found == "" || r.Mode == "" || (r.Outcome == verify.Failed) != (r.Next != "") {
			t.Errorf("incomplete requirement %s", toJSON(t, r))
		}
		for _, e := range r.Evidence {
			if (e.Outcome == verify.Ignored) != (e.Why != "") || e.Digest == "" {
				t.Errorf("incomplete evidence %s", toJSON(t, e))
			}
		}
	}
}

func tellRefusal(t *testing.T, r *verify.Refusal) string {
	t.Helper()
	var out []string
	for _, reason := range r.Reasons {
		out = append(out, reason.String(), "next: "+reason.Next)
		if reason.Requirement == "" || reason.LookedFor == "" || reason.Found == "" || reason.Next == "" {
			t.Errorf("incomplete reason %+v", reason)
		}
	}
	return strings.Join(out, "\n")
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every row is a policy, an artifact, the decision and its reason.
func TestPolicyTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []decisionRow
	for _, rows := range [][]decisionRow{
		w.signatureRows(), w.windowRows(), w.witnessRows(), w.rootRows(),
		w.keylessRows(), w.keylessMatchRows(), w.certificateRows(), w.certificateChainRows(),
		w.attestationRows(), w.vsaRows(), w.conditionRows(), w.freshnessRows(), w.memoryRows(),
		w.omsRows(), w.scopeRows(), w.rulingRows(),
	} {
		all = append(all, rows...)
	}
	if len(all) < 80 {
		t.Errorf("only %d rows", len(all))
	}
	seen := map[string]bool{}
	for _, r := range all {
		if seen[r.name] {
			t.Errorf("two rows are called %q", r.name)
		}
		seen[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			got, text, report := w.decide(t, r)
			if got != r.want {
				t.Fatalf("%s, want %s: %s", got, r.want, text)
			}
			for _, want := range r.says {
				if !strings.Contains(text, want) {
					t.Errorf("%s\ndoes not say %q", text, want)
				}
			}
			if r.memory != nil && (report == nil || report.Memory == nil || toJSON(t, report.Memory) != toJSON(t, r.memory)) {
				t.Errorf("what is to be remembered: %s, want %s", toJSON(t, report), toJSON(t, r.memory))
			}
		})
	}
}
