package verify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
	"github.com/modseal/modseal/pkg/verify"
)

// signedBy returns a signature of m by a key of the tests, after an edit of its
// payload.
func signedBy(t *testing.T, m model, signer string, edits ...string) *verify.DirectorySignature {
	t.Helper()
	payload := string(m.oms(t))
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(payload, edits[i]) {
			t.Fatalf("the payload has no %q", edits[i])
		}
		payload = strings.ReplaceAll(payload, edits[i], edits[i+1])
	}
	s, err := verify.ParseDirectorySignature(signer+".sig", "inside/"+signer+".sig", envelope{payload: []byte(payload), signer: signer}.bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scoped are rules of a policy document.
func scoped(r policy.Rules, more ...policy.Requirement) policy.Rules {
	r.Scope = "dir:/srv"
	r.Requirements = append(r.Requirements, more...)
	return r
}

func oms(o policy.OMSRequirement) policy.Requirement { return policy.Requirement{OMS: &o} }

func TestDirectoryRules(t *testing.T) {
	t.Parallel()
	m := demo()
	more := m.with("extra", "x")
	const ignore = `"ignore_paths":[".git",".gitattributes",".github",".gitignore"]`
	release, backup := signedBy(t, m, "release"), signedBy(t, m, "backup")
	again := signedBy(t, m, "release", `"name":"demo"`, `"name":"demo-2"`)
	links := signedBy(t, m, "release", `"allow_symlinks":false`, `"allow_symlinks":true`)
	leaves := signedBy(t, m, "release", ignore, `"ignore_paths":["cache","inside/release.sig","model.sig"]`)
	usual := signedBy(t, m, "release", ignore, `"ignore_paths":[".git/x",".gitignore","inside/release.sig","model.sig"]`)
	other := signedBy(t, more, "release")
	attestation := policy.Requirement{Attestation: &policy.AttestationRequirement{PredicateTypes: []string{"x"}, Signers: signers("release"), Threshold: 1}}
	summary := policy.Requirement{VSA: &policy.VSARequirement{
		Verifiers: []policy.Verifier{{ID: promoter, Signers: signers("release")}}, Threshold: 1, Resource: policy.Resources{Any: true},
	}}
	conditions := policy.Requirement{Conditions: &policy.ConditionsRequirement{}}
	fresh := policy.Requirement{Freshness: &policy.FreshnessRequirement{MinimumVersion: "1.0.0"}}
	strict := func(o policy.OMSRequirement) policy.Rules { return scoped(anyOf("release"), oms(o)) }
	type sigs = []*verify.DirectorySignature
	for name, row := range map[string]struct {
		signatures sigs
		model      model
		options    verify.DirectoryOptions
		rules      []policy.Rules
		says       string // "" when it is accepted
	}{
		"one of one":                  {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release")}, ""},
		"one of two":                  {sigs{backup}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release", "backup")}, ""},
		"two of two":                  {sigs{release, backup}, m, verify.DirectoryOptions{}, []policy.Rules{nOf(2, "release", "backup")}, ""},
		"two wanted, one there":       {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{nOf(2, "release", "backup")}, "only 1 of 2, by release"},
		"the same signature twice":    {sigs{release, release}, m, verify.DirectoryOptions{}, []policy.Rules{nOf(2, "release", "backup")}, "only 1 of 2"},
		"the same signer twice":       {sigs{release, again}, m, verify.DirectoryOptions{}, []policy.Rules{nOf(2, "release", "backup")}, "only 1 of 2"},
		"one key under two names":     {sigs{release, again}, m, verify.DirectoryOptions{}, []policy.Rules{nOf(2, "release", "release-again")}, "only 1 of 2"},
		"a stranger beside":           {sigs{signedBy(t, m, "stranger"), release}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release")}, ""},
		"strangers only":              {sigs{signedBy(t, m, "stranger"), backup}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release")}, "2 signature files, none of which counts"},
		"a wrong one of a trusted":    {sigs{backup, other}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release", "backup")}, `"extra" missing`},
		"two wrong ones":              {sigs{other, signedBy(t, more, "backup")}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release", "backup")}, "2 signatures by trusted signers that do not match"},
		"site and project":            {sigs{release, backup}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release"), scoped(anyOf("backup"))}, ""},
		"site and not project":        {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release"), scoped(anyOf("backup"))}, "a bundle that is signed by"},
		"OMS by another signer":       {sigs{release, backup}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"), oms(policy.OMSRequirement{Required: true, Signers: signers("backup")}))}, ""},
		"OMS by another, not there":   {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"), oms(policy.OMSRequirement{Required: true, Signers: signers("backup")}))}, "signed by"},
		"OMS by another, not needed":  {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"), oms(policy.OMSRequirement{Signers: signers("backup")}))}, ""},
		"not needed, there and wrong": {sigs{release, signedBy(t, more, "backup")}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"), oms(policy.OMSRequirement{Signers: signers("backup")}))}, `"extra" missing`},
		"OMS alone is needed":         {sigs{backup}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(policy.Rules{Mode: policy.ModeEnforce}, oms(policy.OMSRequirement{Signers: signers("release")}))}, "signed by"},
		"hash type allowed":           {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{HashTypes: []string{"blake3", "sha256"}})}, ""},
		"hash type forbidden":         {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{HashTypes: []string{"blake3"}})}, "hash type is sha256"},
		"method forbidden":            {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{Methods: []string{"shards"}})}, "method is files"},
		"links by flags":              {sigs{links}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release")}, ""},
		"links by a policy":           {sigs{links}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"))}, "followed symbolic links"},
		"links allowed":               {sigs{links}, m, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{Symlinks: true})}, ""},
		"left out, by flags":          {sigs{leaves}, m, verify.DirectoryOptions{}, []policy.Rules{anyOf("release")}, ""},
		"left out, by a policy":       {sigs{leaves}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"))}, `left out "cache"`},
		"left out, allowed":           {sigs{leaves}, m, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{IgnorePaths: []string{"cache"}})}, ""},
		"left out, others allowed":    {sigs{leaves}, m, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{IgnorePaths: []string{"cach", "cache/x"}})}, `left out "cache"`},
		"left out, any":               {sigs{leaves}, m, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{AnyIgnorePaths: true})}, ""},
		"the usual left out":          {sigs{usual}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"))}, ""},
		"unsigned, by a flag":         {sigs{release}, more, verify.DirectoryOptions{IgnoreUnsigned: true}, []policy.Rules{anyOf("release")}, ""},
		"unsigned, flag and policy":   {sigs{release}, more, verify.DirectoryOptions{IgnoreUnsigned: true}, []policy.Rules{scoped(anyOf("release"))}, `"extra" not signed`},
		"unsigned, allowed":           {sigs{release}, more, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{UnsignedFiles: true})}, ""},
		"unsigned, allowed by one":    {sigs{release}, more, verify.DirectoryOptions{}, []policy.Rules{strict(policy.OMSRequirement{UnsignedFiles: true}), scoped(anyOf("release"))}, `"extra" not signed`},
		"unsigned, ignored":           {sigs{release}, more, verify.DirectoryOptions{Ignored: statement.NewSubtrees("extra")}, []policy.Rules{anyOf("release")}, ""},
		"ignored, by a policy":        {sigs{release}, more, verify.DirectoryOptions{Ignored: statement.NewSubtrees("extra")}, []policy.Rules{scoped(anyOf("release"))}, `"extra" is to be ignored (--ignore-paths), which the rules do not allow`},
		"ignored, site and flags":     {sigs{release}, more, verify.DirectoryOptions{Ignored: statement.NewSubtrees("extra")}, []policy.Rules{anyOf("release"), scoped(anyOf("release"))}, `"extra" is to be ignored`},
		"ignored, allowed":            {sigs{release}, more, verify.DirectoryOptions{Ignored: statement.NewSubtrees("extra")}, []policy.Rules{strict(policy.OMSRequirement{IgnorePaths: []string{"extra"}})}, ""},
		"ignored, unsigned allowed":   {sigs{release}, more, verify.DirectoryOptions{Ignored: statement.NewSubtrees("extra")}, []policy.Rules{strict(policy.OMSRequirement{UnsignedFiles: true})}, ""},
		"git, not ignored":            {sigs{usual}, m.with(".github/x", "x"), verify.DirectoryOptions{GitPaths: true}, []policy.Rules{anyOf("release")}, `".github/x" not signed`},
		"git, recorded":               {sigs{release}, m.with(".github/x", "x"), verify.DirectoryOptions{GitPaths: true}, []policy.Rules{anyOf("release")}, ""},
		"strict":                      {sigs{release}, m, verify.DirectoryOptions{Strict: true}, []policy.Rules{anyOf("release")}, ""},
		"strict, of v1.1":             {sigs{signedBy(t, m, "release", "signature/v1.0", "signature/v1.1")}, m, verify.DirectoryOptions{Strict: true}, []policy.Rules{anyOf("release")}, "later minor version"},
		"attestations":                {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"), attestation)}, "a directory, to which none can be attached"},
		"verification summaries":      {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"), summary)}, "a directory, to which none can be attached"},
		"conditions":                  {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"), conditions)}, "a directory, which is none"},
		"freshness":                   {sigs{release}, m, verify.DirectoryOptions{}, []policy.Rules{scoped(anyOf("release"), fresh)}, "a directory, which has no version"},
	} {
		var rulings []verify.Ruling
		for _, r := range row.rules {
			rulings = append(rulings, verify.Ruling{Rules: r, Trust: trusted()})
		}
		r, err := verify.Directory(t.Context(), onDisk("demo", row.model.resources(), false), row.signatures, row.options, rulings...)
		switch {
		case row.says != "":
			refusal(t, name, err, row.says)
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case r.Decision != verify.Accepted || len(r.Requirements) == 0:
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestDirectoryWarnMode(t *testing.T) {
	t.Parallel()
	m := demo()
	rules := scoped(anyOf("release"))
	rules.Mode = policy.ModeWarn
	s := []*verify.DirectorySignature{signedBy(t, m, "release")}
	subject := onDisk("demo", m.with("extra", "x").resources(), false)
	warn := verify.Ruling{Rules: rules, Trust: trusted()}
	r, err := verify.Directory(t.Context(), subject, s, verify.DirectoryOptions{}, warn)
	if err != nil || r.Decision != verify.Warned || !strings.Contains(strings.Join(r.Warnings, "\n"), `"extra" not signed`) {
		t.Errorf("%+v, %v", r, err)
	}
	// The stricter of two wins.
	_, err = verify.Directory(t.Context(), subject, s, verify.DirectoryOptions{}, warn, verify.Ruling{Rules: anyOf("release"), Trust: trusted()})
	refusal(t, "warn and enforce", err, `"extra" not signed`)
}

func TestDirectoryUndecided(t *testing.T) {
	t.Parallel()
	m := demo()
	s := []*verify.DirectorySignature{signedBy(t, m, "release")}
	empty := scoped(policy.Rules{Mode: policy.ModeEnforce}, oms(policy.OMSRequirement{Required: true}))
	mode := anyOf("release")
	mode.Mode = "perhaps"
	for name, row := range map[string]struct {
		signatures []*verify.DirectorySignature
		rulings    []verify.Ruling
	}{
		"no rulings":     {s, nil},
		"no rules":       {s, []verify.Ruling{{Trust: trusted()}}},
		"no signers":     {s, []verify.Ruling{{Rules: empty, Trust: trusted()}}},
		"no key":         {s, []verify.Ruling{{Rules: anyOf("release"), Trust: verify.Trust{Keys: map[string]trust.Key{}}}}},
		"no signature":   {nil, []verify.Ruling{{Rules: anyOf("release"), Trust: trusted()}}},
		"unknown mode":   {s, []verify.Ruling{{Rules: mode, Trust: trusted()}}},
		"one of two not": {s, []verify.Ruling{{Rules: anyOf("release"), Trust: trusted()}, {}}},
	} {
		_, err := verify.Directory(t.Context(), onDisk("demo", m.resources(), false), row.signatures, verify.DirectoryOptions{}, row.rulings...)
		var no *verify.Undecided
		if !errors.As(err, &no) || no.Next == "" || no.Subject != "demo" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No file is read for a signature that nobody trusted made, or whose form the
// rules do not have; and for two rulings it is read once.
func TestDirectoryReadsOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	m := demo()
	reads := 0
	var followed bool
	subject := verify.DirectorySubject{Name: "demo", Resources: func(_ context.Context, s *verify.DirectorySignature) ([]statement.Resource, error) {
		reads++
		followed = s.FollowLinks
		return m.resources(), nil
	}}
	decide := func(s *verify.DirectorySignature, rules ...policy.Rules) error {
		reads = 0
		var rulings []verify.Ruling
		for _, r := range rules {
			rulings = append(rulings, verify.Ruling{Rules: r, Trust: trusted()})
		}
		_, err := verify.Directory(t.Context(), subject, []*verify.DirectorySignature{s}, verify.DirectoryOptions{}, rulings...)
		return err
	}
	if err := decide(signedBy(t, m, "stranger"), anyOf("release")); err == nil || reads != 0 {
		t.Errorf("a stranger's: %d reads, %v", reads, err)
	}
	if err := decide(signedBy(t, m, "release"), scoped(anyOf("release"), oms(policy.OMSRequirement{HashTypes: []string{"blake3"}}))); err == nil || reads != 0 {
		t.Errorf("of a forbidden form: %d reads, %v", reads, err)
	}
	if err := decide(signedBy(t, m, "release"), anyOf("release"), scoped(anyOf("release"))); err != nil || reads != 1 {
		t.Errorf("for two rulings: %d reads, %v", reads, err)
	}
	links := signedBy(t, m, "release", `"allow_symlinks":false`, `"allow_symlinks":true`)
	allow := scoped(anyOf("release"), oms(policy.OMSRequirement{Symlinks: true}))
	if err := decide(links, allow); err != nil || !followed {
		t.Errorf("a policy allows links: followed %t, %v", followed, err)
	}
	if err := decide(links, allow, anyOf("release")); err != nil || followed {
		t.Errorf("rules of flags do not follow by themselves: followed %t, %v", followed, err)
	}
	broken := fmt.Errorf("the disk is gone")
	subject.Resources = func(context.Context, *verify.DirectorySignature) ([]statement.Resource, error) { return nil, broken }
	if err := decide(signedBy(t, m, "release"), anyOf("release")); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
