package profile_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/profile"
)

// third are the components that class III requires.
var third = []string{"model-architecture", "final-model-parameters", "evaluation-results", "model-card", "data-card", "technical-report", "model-openness-config-file"}

func conforming() map[string]string {
	return map[string]string{
		profile.KeyVersion: "0.1.0", profile.KeyArtifactType: "model", profile.KeyLifecycle: "validated",
		profile.KeyMOFClass: "III", profile.KeyMOFVersion: "1.0", profile.KeyMOFComponents: strings.Join(third, ","),
		profile.KeySigning: "sigstore", profile.KeySBOM: "spdx", profile.KeyProvenance: "slsa-v1.0", profile.KeyPackaging: "modelpack",
	}
}

func proven(profile.Kind, string) profile.Proof {
	return profile.Proof{Attached: true, Verified: true, Decided: true}
}

func TestCheck(t *testing.T) {
	undecided := func(profile.Kind, string) profile.Proof { return profile.Proof{Attached: true} }
	absent := func(profile.Kind, string) profile.Proof { return profile.Proof{} }
	for name, tt := range map[string]struct {
		change    map[string]string // an empty value takes the annotation away
		files     []string
		proof     func(profile.Kind, string) profile.Proof
		want      map[string]profile.Outcome // of what does not hold
		undecided bool
	}{
		"all of it":                     {},
		"version 1":                     {change: map[string]string{profile.KeyVersion: "1.0.0"}},
		"no packaging":                  {change: map[string]string{profile.KeyPackaging: ""}, want: map[string]profile.Outcome{profile.KeyPackaging: profile.Missing}},
		"no class":                      {change: map[string]string{profile.KeyMOFClass: ""}, want: map[string]profile.Outcome{profile.KeyMOFClass: profile.Missing}},
		"another version":               {change: map[string]string{profile.KeyVersion: "0.2.0"}, want: map[string]profile.Outcome{profile.KeyVersion: profile.Invalid}},
		"no version at all":             {change: map[string]string{profile.KeyVersion: "1.0"}, want: map[string]profile.Outcome{profile.KeyVersion: profile.Invalid}},
		"a status of another spelling":  {change: map[string]string{profile.KeyLifecycle: "Validated"}, want: map[string]profile.Outcome{profile.KeyLifecycle: profile.Invalid}},
		"a class that is none":          {change: map[string]string{profile.KeyMOFClass: "IV"}, want: map[string]profile.Outcome{profile.KeyMOFClass: profile.Invalid}},
		"a class of more components":    {change: map[string]string{profile.KeyMOFClass: "II"}, want: map[string]profile.Outcome{profile.KeyMOFClass: profile.Invalid}},
		"a paper instead of the report": {change: map[string]string{profile.KeyMOFComponents: strings.ReplaceAll(strings.Join(third, ","), "technical-report", "research-paper")}},
		"a component with a space":      {change: map[string]string{profile.KeyMOFComponents: strings.Join(third, ",") + ", datasets"}, want: map[string]profile.Outcome{profile.KeyMOFComponents: profile.Invalid}},
		"a component twice":             {change: map[string]string{profile.KeyMOFComponents: strings.Join(third, ",") + ",model-card"}, want: map[string]profile.Outcome{profile.KeyMOFComponents: profile.Invalid}},
		"a component that is none":      {change: map[string]string{profile.KeyMOFComponents: strings.Join(third, ",") + ",weights"}, want: map[string]profile.Outcome{profile.KeyMOFComponents: profile.Invalid}},
		"no openness file":              {files: []string{"model.gguf", "mof.txt"}, want: map[string]profile.Outcome{profile.KeyMOFComponents: profile.Invalid}},
		"an openness file below":        {files: []string{"docs/MOF.JSON"}},
		"nothing is attached": {proof: absent, want: map[string]profile.Outcome{
			profile.KeySigning: profile.Unproven, profile.KeySBOM: profile.Unproven, profile.KeyProvenance: profile.Unproven,
		}},
		"nobody to verify with": {proof: undecided, undecided: true, want: map[string]profile.Outcome{
			profile.KeySigning: profile.Undecided, profile.KeySBOM: profile.Undecided, profile.KeyProvenance: profile.Undecided,
		}},
		"nobody to verify with, and no class": {proof: undecided, change: map[string]string{profile.KeyMOFClass: ""}, want: map[string]profile.Outcome{
			profile.KeySigning: profile.Undecided, profile.KeySBOM: profile.Undecided, profile.KeyProvenance: profile.Undecided, profile.KeyMOFClass: profile.Missing,
		}},
		"signed with Notation":   {change: map[string]string{profile.KeySigning: "notation"}, want: map[string]profile.Outcome{profile.KeySigning: profile.Unproven}},
		"a format of no profile": {change: map[string]string{profile.KeySBOM: "swid"}, want: map[string]profile.Outcome{profile.KeySBOM: profile.Invalid}},
		"before anything is attached": {
			proof: nil, change: map[string]string{profile.KeySigning: "notation"},
			want: map[string]profile.Outcome{profile.KeySigning: profile.Unproven},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := profile.Subject{ArtifactType: artifacttypes.ArtifactTypeModel, Annotations: conforming(), Files: []string{"mof.yaml"}, Proof: proven}
			maps.Copy(s.Annotations, tt.change)
			if tt.files != nil {
				s.Files = tt.files
			}
			if tt.proof != nil {
				s.Proof = tt.proof
			}
			r := profile.Check(s)
			got := map[string]profile.Outcome{}
			must := true
			for _, f := range r.Findings {
				if f.Outcome != profile.Holds {
					got[f.Key] = f.Outcome
					must = must && f.Level != profile.Must
				}
			}
			if tt.want == nil {
				tt.want = map[string]profile.Outcome{}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if r.Conforms != must || r.Undecided != tt.undecided {
				t.Errorf("conforms %v, undecided %v", r.Conforms, r.Undecided)
			}
		})
	}
}

func TestCheckOfAnotherArtifact(t *testing.T) {
	r := profile.Check(profile.Subject{ArtifactType: "application/x\x1b[2J", Annotations: conforming(), Files: []string{"mof.yaml"}, Proof: proven})
	last := r.Findings[len(r.Findings)-1]
	if last.Key != profile.KeyPackaging || last.Outcome != profile.Invalid || strings.ContainsRune(last.Found, '\x1b') {
		t.Errorf("%+v", last)
	}
	if !r.Conforms {
		t.Error("the packaging is a SHOULD")
	}
}

// What is written conforms, once it is attached.
func TestAnnotationsConform(t *testing.T) {
	mof := &profile.MOF{Version: "1.0", Components: third}
	m := profile.Annotations(profile.Promise{Signed: true, SBOM: profile.SBOMSPDX, Provenance: profile.ProvenanceSLSA, MOF: mof})
	r := profile.Check(profile.Subject{ArtifactType: artifacttypes.ArtifactTypeModel, Annotations: m, Files: []string{"mof.yaml"}, Proof: proven})
	if !r.Conforms {
		t.Errorf("%+v", r)
	}
	if m := profile.Annotations(profile.Promise{}); m[profile.KeySigning] != "" || m[profile.KeySBOM] != "" || m[profile.KeyProvenance] != "" || m[profile.KeyMOFClass] != "" {
		t.Errorf("nothing is attached, and %v is promised", m)
	}
	for _, k := range profile.Keys() {
		if !strings.HasPrefix(k.Name, profile.Prefix) || k.What == "" {
			t.Errorf("%+v", k)
		}
	}
}

const head = "framework: {name: Model Openness Framework, version: '1.0'}\nrelease:\n  components:\n"

func TestParseMOF(t *testing.T) {
	for name, tt := range map[string]struct {
		text, class, list string
	}{
		"nothing": {head + "  - {name: Datasets}\n", "", "model-openness-config-file"},
		"as its tool writes it": {
			head + "  - {name: Model architecture, license: MIT}\n  - {name: 'Model parameters (Final)', license: MIT}\n  - {name: Model card, license: MIT}\n" +
				"  - {name: Data card, component_path: d.md}\n  - {name: Technical report, license: CC0-1.0}\n  - {name: Evaluation results, license: MIT}\n  - {name: Datasets, license: Component not included}\n",
			"III", "model-architecture,final-model-parameters,evaluation-results,model-card,data-card,technical-report,model-openness-config-file",
		},
		"as its schema has it, in JSON": {
			`{"framework":{"name":"Model Openness Framework","version":"1.0"},"release":{"components":[{"name":"Model card","location":"README.md","license_name":"MIT"},{"name":"Data card","location":"","license_name":""}]}}`,
			"", "model-card,model-openness-config-file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := profile.ParseMOF([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if m.Class() != tt.class || m.List() != tt.list || m.Version != "1.0" {
				t.Errorf("class %q, components %q, version %q", m.Class(), m.List(), m.Version)
			}
		})
	}
	for name, tt := range map[string]struct{ text, why string }{
		"empty":                {"", "line 1: the document is empty"},
		"no YAML":              {"{", "line 1: could not find flow mapping end token '}'"},
		"another framework":    {"framework: {name: x}", `framework.name is "x"`},
		"a framework of text":  {"release: {}\nframework: x", "line 2: here is a text, and a mapping is needed"},
		"a name of a mapping":  {head + "  - name: {a: b}\n", "line 4: here is a mapping, and a text is needed"},
		"components of a text": {"framework: {name: Model Openness Framework}\nrelease: {components: x}", "line 2: here is a text, and a list is needed"},
		"too large":            {strings.Repeat("#", limits.OverridesBytes+1), "line 1: the document has"},
		"too deep":             {strings.Repeat("[", 1000), "line 1: the line is nested too deeply"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := profile.ParseMOF([]byte(tt.text))
			if !errors.Is(err, profile.ErrMOF) || !strings.HasPrefix(err.Error(), profile.ErrMOF.Error()+": "+tt.why) {
				t.Errorf("got %v and %v", m, err)
			}
		})
	}
}

func FuzzParseMOF(f *testing.F) {
	f.Add([]byte(head + "  - {name: Model card, license: MIT}\n"))
	f.Add([]byte("framework: &a {name: Model Openness Framework, version: *a}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := profile.ParseMOF(text)
		if err != nil {
			return
		}
		annotations := profile.Annotations(profile.Promise{MOF: m})
		r := profile.Check(profile.Subject{ArtifactType: artifacttypes.ArtifactTypeModel, Annotations: annotations, Files: []string{"mof.json"}})
		for _, f := range r.Findings {
			if f.Outcome == profile.Invalid && f.Key != profile.KeyMOFVersion {
				t.Errorf("%+v is made of %q", f, text)
			}
		}
	})
}
