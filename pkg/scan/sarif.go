package scan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"regexp"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

const (
	informationURI = "https://github.com/modseal/modseal"
	rulesURI       = informationURI + "/blob/main/docs/reference/scan-rules.md#"
	srcRoot        = "%SRCROOT%"
)

// SARIF writes the report in SARIF 2.1.0
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html), as systems
// that show findings beside source code read it. Paths are relative to the model.
func (r *Report) SARIF(w io.Writer) error {
	run := sarif.NewRunWithInformationURI(r.Scanner.Name, informationURI)
	if r.Scanner.Version != "" {
		run.Tool.Driver.WithVersion(r.Scanner.Version)
	}
	run.Tool.Driver.WithProperties(bag("rulesSHA256", r.Scanner.Rules.SHA256))
	run.WithColumnKind("unicodeCodePoints")
	index := map[string]int{}
	for i, rule := range hazard.Rules() {
		index[rule.ID] = i
		run.Tool.Driver.AddRule(sarifRule(rule))
	}
	for _, f := range r.Findings {
		run.AddResult(sarifResult(f, index[f.Rule]))
	}
	report := sarif.NewReport().AddRun(run)
	var out bytes.Buffer
	if err := report.PrettyWrite(&out); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(w)
	return err
}

func sarifRule(rule hazard.Rule) *sarif.ReportingDescriptor {
	help := rule.Help
	if len(rule.References) > 0 {
		help += " See " + strings.Join(rule.References, ", ") + "."
	}
	d := sarif.NewRule(rule.ID).WithDescription(rule.Title).WithHelpURI(rulesURI + rule.ID)
	d.WithFullDescription(sarif.NewMultiformatMessageString().WithText(rule.Help))
	d.WithHelp(sarif.NewMultiformatMessageString().WithText(help))
	d.WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level(rule.Severity)))
	// Systems that show code sort by this number, which is a CVSS score to them.
	properties := bag("security-severity", score(rule.Severity))
	properties.WithTags([]string{"security"})
	return d.WithProperties(properties)
}

func sarifResult(f hazard.Finding, rule int) *sarif.Result {
	where := sarif.NewPhysicalLocation().WithArtifactLocation(
		sarif.NewArtifactLocation().WithURI((&url.URL{Path: f.Path}).String()).WithURIBaseID(srcRoot))
	if f.Member == "" && f.Offset >= 0 {
		where.WithRegion(sarif.NewRegion().WithByteOffset(int(f.Offset)).WithByteLength(0))
	}
	location := sarif.NewLocationWithPhysicalLocation(where)
	properties := sarif.NewPropertyBag()
	if f.Member != "" {
		location.AddLogicalLocation(sarif.NewLogicalLocation().WithFullyQualifiedName(f.Member).WithKind("member"))
		if f.Offset >= 0 {
			properties.Add("memberOffset", f.Offset)
		}
	}
	if f.Subject != "" {
		properties.Add("subject", f.Subject)
	}
	properties.Add("severity", f.Severity.String())
	return sarif.NewRuleResult(f.Rule).WithRuleIndex(rule).WithLevel(level(f.Severity)).
		WithMessage(sarif.NewTextMessage(plainMessage(f.Says()))).
		WithLocations([]*sarif.Location{location}).
		WithPartialFingerprints(map[string]string{"modsealFinding/v1": fingerprint(f)}).
		WithProperties(properties)
}

// placeholder is what a message may have another text put for.
var placeholder = regexp.MustCompile(`\{(\d+)\}`)

// plainMessage has texts of a model stay texts: in a message [text](URI) is a link, and
// {0} stands for an argument (sections 3.11.5 and 3.11.6).
func plainMessage(text string) string {
	if strings.Contains(text, "](") {
		text = strings.NewReplacer("[", `\[`, "]", `\]`).Replace(text)
	}
	return placeholder.ReplaceAllString(text, "{{$1}}")
}

// fingerprint tells findings apart between two versions of a model, in which offsets
// change.
func fingerprint(f hazard.Finding) string {
	text, err := json.Marshal([]string{f.Rule, f.Path, f.Member, f.Subject})
	if err != nil {
		panic(err) // texts have a form in JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

func level(s hazard.Severity) string {
	switch {
	case s >= hazard.High:
		return "error"
	case s == hazard.Medium:
		return "warning"
	}
	return "note"
}

func score(s hazard.Severity) string {
	switch s {
	case hazard.Critical:
		return "9.5"
	case hazard.High:
		return "8.0"
	case hazard.Medium:
		return "5.5"
	case hazard.Low:
	}
	return "2.0"
}

func bag(key string, value any) *sarif.PropertyBag { return sarif.NewPropertyBag().Add(key, value) }
