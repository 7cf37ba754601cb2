package promotion

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// document is a plan as it is written.
type document struct {
	Version    *whole   `yaml:"version"`
	Defaults   settings `yaml:"defaults"`
	Promotions []entry  `yaml:"promotions"`
}

// settings are what an entry and the defaults may say.
type settings struct {
	Policy            texts     `yaml:"policy"`
	DestinationPolicy texts     `yaml:"destinationPolicy"`
	Sign              *signing  `yaml:"sign"`
	VerifierID        *text     `yaml:"verifierId"`
	Levels            texts     `yaml:"levels"`
	Renew             *duration `yaml:"renew"`
}

type signing struct {
	Key              *text    `yaml:"key"`
	Certificate      *text    `yaml:"certificate"`
	CertificateChain *text    `yaml:"certificateChain"`
	Keyless          *boolean `yaml:"keyless"`
	SigningConfig    *text    `yaml:"signingConfig"`
	TrustedRoot      *text    `yaml:"trustedRoot"`
}

type entry struct {
	Settings  settings `yaml:",inline"`
	From      *text    `yaml:"from"`
	To        *text    `yaml:"to"`
	Overwrite *boolean `yaml:"overwrite"`
	Expect    *text    `yaml:"expect"`
}

// Parse reads a plan. name is its file, for messages. Every error is an [*Error].
func Parse(name string, data []byte) (*Plan, error) {
	root, err := body(name, data)
	if err != nil {
		return nil, err
	}
	if _, ok := root.(ast.MapNode); !ok {
		return nil, &Error{Name: name, Line: line(root), Message: "a plan is a mapping with the keys version, defaults and promotions"}
	}
	var d document
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&d); err != nil {
		return nil, refused(name, err)
	}
	r := reader{name: name}
	return r.plan(d, entryLines(root))
}

// entryLines returns the lines at which the entries of promotions begin.
func entryLines(root ast.Node) []int {
	var out []int
	for _, v := range values(root) {
		if list, ok := v.Value.(*ast.SequenceNode); ok && v.Key.String() == "promotions" {
			for _, n := range list.Values {
				out = append(out, line(n))
			}
		}
	}
	return out
}

func values(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// reader checks what a document says and fills in its defaults.
type reader struct{ name string }

func (r reader) errorf(line int, format string, args ...any) error {
	return &Error{Name: r.name, Line: line, Message: fmt.Sprintf(format, args...)}
}

func (r reader) plan(d document, lines []int) (*Plan, error) {
	switch {
	case d.Version == nil:
		return nil, r.errorf(0, "it has no version; write version: %d", Version)
	case d.Version.value != Version:
		return nil, r.errorf(d.Version.line, "version %d is unknown; this modseal reads version %d", d.Version.value, Version)
	case len(d.Promotions) == 0:
		return nil, r.errorf(0, "it has no promotions; write at least one")
	case len(d.Promotions) > limits.PlanPromotions:
		return nil, r.errorf(0, "it has %d promotions, more than %d", len(d.Promotions), limits.PlanPromotions)
	}
	p := &Plan{Name: r.name}
	seen := map[string]int{}
	for i, e := range d.Promotions {
		at := 0
		if i < len(lines) {
			at = lines[i]
		}
		one, err := r.promotion(e, d.Defaults, at)
		if err != nil {
			return nil, err
		}
		if first, twice := seen[one.destination()]; twice {
			return nil, r.errorf(at, "line %d promotes to %s already; only one model can have that name", first, one.destination())
		}
		if !one.Pattern() {
			seen[one.destination()] = at
		}
		p.Promotions = append(p.Promotions, one)
	}
	return p, nil
}

// destination is where a promotion of one model ends.
func (p Promotion) destination() string {
	if _, _, ok := cutTag(p.To); ok {
		return p.To
	}
	if _, tag, ok := cutTag(p.From); ok {
		return p.To + ":" + tag
	}
	return p.To + " from " + p.From
}

func (r reader) promotion(e entry, defaults settings, at int) (Promotion, error) {
	p := Promotion{Line: at}
	switch {
	case e.From == nil:
		return p, r.errorf(at, "a promotion has no from; write where the model is, such as from: dev.example.com/team/model:v1")
	case e.To == nil:
		return p, r.errorf(at, "a promotion has no to; write where it belongs, such as to: prod.example.com/team/model")
	}
	p.From, p.To = e.From.value, e.To.value
	if err := r.names(p, e); err != nil {
		return p, err
	}
	s := e.over(defaults)
	p.Policies, p.DestinationPolicies, p.Levels = s.Policy.values(), s.DestinationPolicy.values(), s.Levels.values()
	if s.VerifierID != nil {
		p.VerifierID = s.VerifierID.value
		if u, err := url.Parse(p.VerifierID); err != nil || !u.IsAbs() {
			return p, r.errorf(s.VerifierID.line, "verifierId %q is no absolute URI, such as https://ci.example.com/promotion", p.VerifierID)
		}
	}
	if s.Renew != nil {
		p.Renew = s.Renew.value
	}
	p.Overwrite = e.Overwrite != nil && bool(*e.Overwrite)
	if e.Expect != nil {
		p.Expect = e.Expect.value
		if artifacttypes.ValidateDigest(digest.Digest(p.Expect)) != nil {
			return p, r.errorf(e.Expect.line, "expect %q is no digest", p.Expect)
		}
	}
	if s.Sign != nil {
		var err error
		p.Sign, err = r.sign(*s.Sign)
		return p, err
	}
	return p, nil
}

// names checks what stands for many: a glob is a tag, and each of its models
// keeps its own.
func (r reader) names(p Promotion, e entry) error {
	repository, tag, tagged := cutTag(p.From)
	switch {
	case isPattern(repository) || isPattern(p.To):
		return r.errorf(e.From.line, "only the tag of from can be a pattern; write a promotion for each repository")
	case !p.Pattern():
		return nil
	case tagged && !doublestar.ValidatePattern(tag):
		return r.errorf(e.From.line, "the pattern %q is not complete", tag)
	case strings.Contains(p.To, "@"):
		return r.errorf(e.To.line, "from stands for several models, and to for one digest; write to without it")
	}
	if _, _, ok := cutTag(p.To); ok {
		return r.errorf(e.To.line, "from stands for several models, and to has one tag; write to without a tag, and each keeps its own")
	}
	if e.Expect != nil {
		return r.errorf(e.Expect.line, "from stands for several models, and expect for one digest; write a promotion of its own for that model")
	}
	return nil
}

func (r reader) sign(s signing) (Sign, error) {
	out := Sign{
		Key: s.Key.text(), Certificate: s.Certificate.text(), CertificateChain: s.CertificateChain.text(),
		Keyless:       s.Keyless != nil && bool(*s.Keyless),
		SigningConfig: s.SigningConfig.text(), TrustedRoot: s.TrustedRoot.text(),
	}
	if strings.Contains(out.Key, "PRIVATE KEY") {
		return Sign{}, r.errorf(s.Key.line, "the private key itself is in the plan; write the name of its file, or a reference such as awskms://…")
	}
	return out, nil
}

func (t *text) text() string {
	if t == nil {
		return ""
	}
	return t.value
}

func (t texts) values() []string {
	var out []string
	for _, one := range t {
		out = append(out, one.value)
	}
	return out
}

// over returns what e says, and for the rest what d says.
func (e entry) over(d settings) settings {
	s := e.Settings
	if s.Policy == nil {
		s.Policy = d.Policy
	}
	if s.DestinationPolicy == nil {
		s.DestinationPolicy = d.DestinationPolicy
	}
	if s.Sign == nil {
		s.Sign = d.Sign
	}
	if s.VerifierID == nil {
		s.VerifierID = d.VerifierID
	}
	if s.Levels == nil {
		s.Levels = d.Levels
	}
	if s.Renew == nil {
		s.Renew = d.Renew
	}
	return s
}

// cutTag splits a target at its tag: after the last colon, when no path or
// digest follows it.
func cutTag(target string) (repository, tag string, ok bool) {
	i := strings.LastIndexByte(target, ':')
	if i <= 0 || strings.ContainsAny(target[i:], `/\`) || strings.Contains(target, "@") || slices.Contains([]string{"oci", "archive"}, target[:i]) {
		return target, "", false
	}
	return target[:i], target[i+1:], true
}

func isPattern(s string) bool { return strings.ContainsAny(s, "*?[{") }
