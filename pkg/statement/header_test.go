package statement_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/statement"
)

func TestCosignSign(t *testing.T) {
	t.Parallel()
	d := digest.FromString("manifest")
	got, err := statement.CosignSign(d)
	if err != nil {
		t.Fatal(err)
	}
	// The members and their order are cosign's.
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + d.Encoded() +
		`"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
	h, err := statement.ParseHeader(got)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Names(d) || h.Names(digest.FromString("other")) || h.Names("") || h.Names("sha256:") {
		t.Errorf("subjects %v", h.Subjects)
	}
	if _, err := statement.CosignSign("sha256:zz"); err == nil {
		t.Error("signs a digest that is none")
	}
}

func TestParseHeader(t *testing.T) {
	t.Parallel()
	got, err := statement.ParseHeader([]byte(`{"predicate":{"a":[1,{"b":null}]},"_type":"https://in-toto.io/Statement/v0.1",
		"subject":[{"name":"n","digest":{"sha256":"00","sha512":"11"}},{"uri":"u","annotations":{"x":true}}],"predicateType":"p","more":1}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &statement.Header{
		Type: "https://in-toto.io/Statement/v0.1", PredicateType: "p",
		Subjects: []statement.Subject{
			{Name: "n", Digest: map[string]string{"sha256": "00", "sha512": "11"}},
			{Digest: map[string]string{}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],"predicateType":"p","predicate":{"k":{"a":1}}}`
	if _, err := statement.ParseHeader([]byte(good)); err != nil {
		t.Fatal(err)
	}
	digests := make([]string, 33)
	for i := range digests {
		digests[i] = fmt.Sprintf(`"a%d":"00"`, i)
	}
	for name, row := range map[string][2]string{
		"other type":                     {"Statement/v1", "Statement/v2"},
		"duplicate key":                  {`"predicateType":"p"`, `"predicateType":"q","predicateType":"p"`},
		"duplicate key in digest":        {`"sha256":"00"`, `"sha256":"00","sha256":"11"`},
		"duplicate key in predicate":     {`"a":1`, `"a":1,"a":2`},
		"duplicate key by escape":        {`"a":1`, `"a":1,"\u0061":2`},
		"predicate type in another case": {`"predicateType"`, `"PredicateType"`},
		"no predicate type":              {`"predicateType":"p"`, `"predicateType":""`},
		"predicate type is a list":       {`"predicateType":"p"`, `"predicateType":["p"]`},
		"no subjects":                    {`[{"digest":{"sha256":"00"}}]`, `[]`},
		"subject is null":                {`[{"digest":{"sha256":"00"}}]`, `null`},
		"digest is a number":             {`"sha256":"00"`, `"sha256":0`},
		"too many subjects":              {`[{"digest"`, `[` + strings.Repeat(`{},`, 1024) + `{"digest"`},
		"too many digests":               {`"sha256":"00"`, strings.Join(digests, ",")},
		"too deep":                       {`"a":1`, `"a":` + strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)},
		"something behind the statement": {`"a":1}}}`, `"a":1}}} {}`},
		"an unfinished statement":        {`"a":1}}}`, `"a":1}}`},
		"a comma too many":               {`"a":1`, `"a":1,`},
	} {
		payload := strings.Replace(good, row[0], row[1], 1)
		if payload == good {
			t.Errorf("%s: the row changes nothing", name)
		}
		if _, err := statement.ParseHeader([]byte(payload)); !errors.Is(err, statement.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte(examplePayload))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],"predicateType":"p","predicate":{"a":[{}]}}`))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"name":"n","digest":{}}],"predicateType":"p"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		h, err := statement.ParseHeader(payload)
		if err != nil {
			if !errors.Is(err, statement.ErrInvalid) || h != nil {
				t.Fatalf("%v, %v", h, err)
			}
			return
		}
		if h.PredicateType == "" || len(h.Subjects) == 0 {
			t.Fatalf("accepted without predicate type or subject: %+v", h)
		}
	})
}

func FuzzParseOMS(f *testing.F) {
	f.Add([]byte(examplePayload))
	f.Add([]byte(shards("sha256-sharded-4", "4.0")))
	f.Add([]byte(one([]string{"."}, filesMethod)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		o, err := statement.ParseOMS(payload)
		if err != nil {
			if !errors.Is(err, statement.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		// What was accepted can be written and means the same when read again.
		again, err := o.Payload()
		if err != nil {
			t.Fatal(err)
		}
		p, err := statement.ParseOMS(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		// What it was excused for is gone, but for what [OMS.Payload] keeps.
		for _, r := range p.Relaxations {
			if !slices.Contains(o.Relaxations, r) && r != statement.RelaxedIgnorePaths {
				t.Fatalf("it is written with %q", r)
			}
		}
		o.Relaxations, p.Relaxations = nil, nil
		if diff := cmp.Diff(o, p); diff != "" {
			t.Fatal(diff)
		}
		if h, err := statement.ParseHeader(payload); err != nil || !statement.IsOMS(h.PredicateType) {
			t.Fatalf("ParseHeader disagrees: %v", err)
		}
	})
}

func FuzzParseOMSLegacy(f *testing.F) {
	f.Add([]byte(legacyPayload))
	f.Fuzz(func(t *testing.T, payload []byte) {
		o, err := statement.ParseOMSLegacy(payload)
		if err != nil {
			if !errors.Is(err, statement.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		// Its files are what a statement of today could list.
		if len(o.Resources) == 1 && o.Resources[0].Name == statement.SingleFile {
			return
		}
		if n, err := statement.NewOMS("m", o.Resources, nil); err != nil || len(n.Resources) != len(o.Resources) {
			t.Fatal(err)
		}
	})
}
