package bom

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"
)

// hub is where ids of the form ORG/NAME lead to.
const hub = "https://huggingface.co/"

// origin is what a model was made from: a base model or a data set.
type origin struct {
	group, name string
	id          string // as the files name it
	ref         string // its name in the document
	purl        string // of a base model on the hub
	url         string
}

var (
	repoID   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)
	revision = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// maxOrigins bounds the base models and data sets of a document; merges have a dozen.
const maxOrigins = 1000

func origins(ids []string, of func(id string) origin) []origin {
	ids = firstList(ids)
	var out []origin
	for _, id := range ids[:min(len(ids), maxOrigins)] {
		o := of(id)
		if !slices.ContainsFunc(out, func(x origin) bool { return x.ref == o.ref }) {
			out = append(out, o)
		}
	}
	return out
}

// baseModel describes what files call a base model: an id of the hub, an address, or
// a name.
func baseModel(id string) origin {
	o := origin{id: id, name: id, ref: "base-model:" + id}
	if repoID.MatchString(id) {
		o.group, o.name, _ = strings.Cut(id, "/")
		o.url, o.purl = hub+id, modelPURL(id, "")
		return o
	}
	o.url = web(id)
	return o
}

// dataset describes a data set of the hub, or one that has a name only.
func dataset(id string) origin {
	o := origin{id: id, name: id, ref: "dataset:" + id}
	if repoID.MatchString(id) {
		o.group, o.name, _ = strings.Cut(id, "/")
		o.url = hub + "datasets/" + id
		return o
	}
	o.url = web(id)
	return o
}

// modelPURL names a model of the hub (purl-spec, type huggingface: the version is the
// hash of a commit).
func modelPURL(id, commit string) string {
	org, name, _ := strings.Cut(id, "/")
	return packageurl.NewPackageURL(packageurl.TypeHuggingface, org, name, commit, nil, "").ToString()
}

// sourcePURL names the model itself, when it is known to be an exact revision on the
// hub: without one it may be a changed copy.
func sourcePURL(source, commit string) string {
	u, err := url.Parse(source)
	if err != nil || !revision.MatchString(commit) {
		return ""
	}
	id, ok := strings.CutPrefix(u.Scheme+"://"+u.Host+u.Path, hub)
	if !ok || !repoID.MatchString(id) {
		return ""
	}
	return modelPURL(id, commit)
}
