// Package option holds groups of flags that several commands share. A group
// adds itself to a command's flags and checks its values.
package option

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/transfer"
)

// Output says in what form a command tells its result.
type Output struct {
	Format string
	Quiet  bool
}

// Formats of results.
const (
	FormatText     = "text"
	FormatJSON     = "json"
	FormatMarkdown = "markdown"
)

// AddFlags adds the flags of the group.
func (o *Output) AddFlags(fs *pflag.FlagSet) {
	o.Format = FormatText
	fs.Var(oneOf(&o.Format, FormatText, FormatJSON), "output", "form of the result on standard output: text or json; with json, progress, warnings and errors are JSON objects too, one a line on standard error")
	fs.BoolVarP(&o.Quiet, "quiet", "q", false, "nothing but errors on standard error: no progress and no warnings")
}

// AddFlagsWithMarkdown adds the flags of the group, for a command whose result
// people also put into a merge request.
func (o *Output) AddFlagsWithMarkdown(fs *pflag.FlagSet) {
	o.AddFlags(fs)
	f := fs.Lookup("output")
	f.Value = oneOf(&o.Format, FormatText, FormatJSON, FormatMarkdown)
	f.Usage = strings.Replace(f.Usage, "text or json", "text, json or markdown", 1)
}

// Markdown reports whether the result is to be Markdown.
func (o *Output) Markdown() bool { return o.Format == FormatMarkdown }

// JSON reports whether the result is to be JSON.
func (o *Output) JSON() bool { return o.Format == FormatJSON }

// Registry says how to reach registries.
type Registry struct {
	PlainHTTP  bool
	Insecure   bool
	CAFile     string
	ClientCert string
	ClientKey  string
	HostsDir   string // as given; see [HostsNone]
}

// HostsNone as the directory of hosts means that none is read.
const HostsNone = "none"

// AddFlags adds the flags of the group.
func (r *Registry) AddFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&r.PlainHTTP, "plain-http", false, "talk HTTP instead of HTTPS (implied for loopback addresses)")
	fs.BoolVar(&r.Insecure, "insecure", false, "accept any TLS certificate of the registry; digests and signatures are still checked")
	fs.StringVar(&r.CAFile, "ca-file", "", "PEM file of certificate authorities to trust besides the system's")
	fs.StringVar(&r.ClientCert, "cert-file", "", "PEM file of the client certificate")
	fs.StringVar(&r.ClientKey, "key-file", "", "PEM file of the client certificate's key")
	fs.StringVar(&r.HostsDir, "hosts-dir", "", "`DIR` like containerd's certs.d, with a hosts.toml of mirrors for each registry; \"none\" reads none (default: $XDG_CONFIG_HOME/modseal/certs.d, else /etc/containerd/certs.d, when it exists)")
}

// Pack says how a directory becomes an artifact.
type Pack struct {
	FollowSymlinks bool
	Exclude        []string
	Set            map[string]string
	Annotations    map[string]string
	Created        string
}

// AddFlags adds the flags of the group.
func (p *Pack) AddFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&p.FollowSymlinks, "follow-symlinks", false, "follow symbolic links that stay inside the directory or the Hugging Face cache that it is a snapshot of")
	fs.StringArrayVar(&p.Exclude, "exclude", nil, "leave out files that match the `GLOB`, such as '**/*.bin' (may be repeated)")
	fs.StringToStringVar(&p.Set, "set", nil, "set a field of the model config, such as name=tiny,version=1.2")
	fs.StringToStringVar(&p.Annotations, "annotation", nil, "set an annotation of the manifest; an empty value removes one")
	fs.StringVar(&p.Created, "created", "", "write this creation `TIME` (RFC 3339) into config and manifest; SOURCE_DATE_EPOCH does the same (default: none, for the same digest every day)")
}

// Time returns the time that the flag asks for, or nil.
func (p *Pack) Time() (*time.Time, error) {
	if p.Created == "" {
		return nil, nil // no time is an answer
	}
	t, err := time.Parse(time.RFC3339, p.Created)
	if err != nil {
		return nil, fmt.Errorf("--created %q: a time such as 2026-01-02T15:04:05Z is needed", p.Created)
	}
	t = t.UTC()
	return &t, nil
}

// Upload says how blobs get to a registry.
type Upload struct{ Mode string }

// AddFlags adds the flags of the group.
func (u *Upload) AddFlags(fs *pflag.FlagSet) {
	var modes []string
	for _, m := range transfer.Modes() {
		modes = append(modes, string(m))
	}
	u.Mode = modes[0]
	fs.Var(oneOf(&u.Mode, modes...), "upload", "how layers get to the registry: as it is known or was learned to take them (auto), "+
		"hashed first and sent in one request (put), hashed while they are sent in one request (stream) or in several (chunks)")
}

// Roles is a list of file roles.
type Roles []artifacttypes.Role

// AddFlags adds the flags of the group.
func (r *Roles) AddFlags(fs *pflag.FlagSet) {
	fs.Var(r, "role", "only files of this role: weight, weight.config, doc, code or dataset (may be repeated)")
}

// String implements pflag.Value.
func (r *Roles) String() string {
	var s []string
	for _, role := range *r {
		s = append(s, string(role))
	}
	return strings.Join(s, ",")
}

// Set implements pflag.Value.
func (r *Roles) Set(v string) error {
	for name := range strings.SplitSeq(v, ",") {
		role := artifacttypes.Role(name)
		if !role.Valid() {
			return fmt.Errorf("%q is none of weight, weight.config, doc, code, dataset", name)
		}
		*r = append(*r, role)
	}
	return nil
}

// Type implements pflag.Value.
func (*Roles) Type() string { return "ROLE" }

// choice is a flag with a few allowed values.
type choice struct {
	value   *string
	allowed []string
}

func oneOf(value *string, allowed ...string) *choice { return &choice{value, allowed} }

// Choices returns the values that a flag takes; nil when they are not a few.
func Choices(f *pflag.Flag) []string {
	if c, ok := f.Value.(*choice); ok {
		return c.allowed
	}
	return nil
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }
func (c *choice) Set(v string) error {
	if !slices.Contains(c.allowed, v) {
		return fmt.Errorf("%q is none of %s", v, strings.Join(c.allowed, ", "))
	}
	*c.value = v
	return nil
}

// Takes reports whether a word is a value of a flag that may stand without one.
func Takes(f *pflag.Flag, word string) bool {
	switch v := f.Value.(type) {
	case *choice:
		return slices.Contains(v.allowed, word)
	case *TrustNames:
		// A target has one of these, or is a path that says so.
		return word != "" && !strings.ContainsAny(word, ":/") && word[0] != '-'
	}
	return f.Value.Type() == "bool" && (word == "true" || word == "false")
}
