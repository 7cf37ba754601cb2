package statement_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/statement"
)

func TestParseResourceURI(t *testing.T) {
	t.Parallel()
	d := digest.FromString("m")
	escaped := strings.Replace(d.String(), ":", "%3A", 1)
	for uri, want := range map[string]statement.Place{
		"oci://registry.example.com/team/demo@" + d.String():                  {Name: "registry.example.com/team/demo", Digest: d},
		"oci://registry.example.com/team/demo":                                {Name: "registry.example.com/team/demo"},
		"oci://Registry.Example.com:5000/team/demo:v1":                        {Name: "registry.example.com:5000/team/demo", Tag: "v1"},
		"oci://localhost/demo:v1@" + d.String():                               {Name: "localhost/demo", Tag: "v1", Digest: d},
		"docker://registry.example.com/demo:v1":                               {Name: "registry.example.com/demo", Tag: "v1"},
		"registry.example.com/team/demo@" + d.String():                        {Name: "registry.example.com/team/demo", Digest: d},
		"registry.example.com/team/demo:V_1.2-3":                              {Name: "registry.example.com/team/demo", Tag: "V_1.2-3"},
		"127.0.0.1:5000/a__b/c--d":                                            {Name: "127.0.0.1:5000/a__b/c--d"},
		"registry.example.com/demo@" + digest.SHA512.FromString("m").String(): {Name: "registry.example.com/demo", Digest: digest.SHA512.FromString("m")},

		"pkg:oci/demo@" + escaped + "?repository_url=registry.example.com/team/demo":                          {Name: "registry.example.com/team/demo", Digest: d},
		"pkg:oci/demo@" + d.String() + "?arch=amd64&repository_url=Registry.Example.com%2Fteam%2Fdemo&tag=v1": {Name: "registry.example.com/team/demo", Tag: "v1", Digest: d},
		"pkg:oci/Demo?repository_url=registry.example.com/demo&tag=v1":                                        {Name: "registry.example.com/demo", Tag: "v1"},

		"oci:/srv/models/demo@" + d.String():       {Name: "oci:/srv/models/demo", Digest: d},
		"oci:/srv/models/demo":                     {Name: "oci:/srv/models/demo"},
		"oci:/srv/my%20models/50%25@" + d.String(): {Name: "oci:/srv/my models/50%", Digest: d},
		"oci:C:/models@" + d.String():              {Name: "oci:C:/models", Digest: d},
		"archive:/media/usb/a.tar@" + d.String():   {Name: "archive:/media/usb/a.tar", Digest: d},
	} {
		got, ok := statement.ParseResourceURI(uri)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %v %s", uri, ok, diff)
		}
	}
	for name, uri := range map[string]string{
		"nothing":                   "",
		"a file":                    "https://example.com/example-1.2.3.tar.gz",
		"another scheme":            "oci+http://registry.example.com/demo",
		"another case of it":        "OCI://registry.example.com/demo",
		"a name without host":       "team/demo:v1",
		"no repository":             "oci://registry.example.com",
		"an empty repository":       "oci://registry.example.com/",
		"capitals":                  "oci://registry.example.com/Team/demo",
		"an empty component":        "oci://registry.example.com/team//demo",
		"a way up":                  "oci://registry.example.com/team/../demo",
		"an empty tag":              "oci://registry.example.com/demo:",
		"a tag of blank":            "oci://registry.example.com/demo:a b",
		"two tags":                  "oci://registry.example.com/demo:a:b",
		"half a digest":             "oci://registry.example.com/demo@sha256:abc",
		"a digest in capitals":      "oci://registry.example.com/demo@" + strings.ToUpper(d.String()),
		"two digests":               "oci://registry.example.com/demo@" + d.String() + "@" + d.String(),
		"an empty digest":           "oci://registry.example.com/demo@",
		"a question":                "oci://registry.example.com/demo?x=y",
		"a fragment":                "oci://registry.example.com/demo#x",
		"credentials":               "oci://user:password@registry.example.com/demo",
		"a package elsewhere":       "pkg:oci/demo@" + escaped,
		"a package of another":      "pkg:oci/demo@" + escaped + "?repository_url=registry.example.com/team",
		"a package of two places":   "pkg:oci/demo?repository_url=registry.example.com/demo&repository_url=other.example.com/demo",
		"a package without name":    "pkg:oci/?repository_url=registry.example.com/demo",
		"a package in a package":    "pkg:oci/team/demo?repository_url=registry.example.com/team/demo",
		"a package of a version":    "pkg:oci/demo@v1?repository_url=registry.example.com/demo",
		"a package with two tags":   "pkg:oci/demo?repository_url=registry.example.com/demo:v1&tag=v2",
		"a package with bad tag":    "pkg:oci/demo?repository_url=registry.example.com/demo&tag=%20",
		"a package and a part":      "pkg:oci/demo?repository_url=registry.example.com/demo&tag=v1#part",
		"an escape that is none":    "pkg:oci/demo?repository_url=%zz",
		"another kind of package":   "pkg:docker/demo?repository_url=registry.example.com/demo",
		"a relative path":           "oci:models/demo",
		"a path with detours":       "oci:/srv/../models",
		"a path that ends on /":     "oci:/srv/models/",
		"a layout of half a digest": "oci:/srv/models@sha256:abc",
		"no path":                   "archive:/@" + digest.FromString("m").String(),
	} {
		if got, ok := statement.ParseResourceURI(uri); ok || got != (statement.Place{}) {
			t.Errorf("%s: %q is %+v", name, uri, got)
		}
	}
}

func TestResourceURI(t *testing.T) {
	t.Parallel()
	d := digest.FromString("m")
	for name, want := range map[string]string{
		"registry.example.com:5000/team/demo": "oci://registry.example.com:5000/team/demo@" + d.String(),
		"oci:/srv/models/demo":                "oci:/srv/models/demo@" + d.String(),
		"oci:/srv/my models/a@b:c%":           "oci:/srv/my%20models/a@b:c%25@" + d.String(),
		"oci:/srv/a\nb":                       "oci:/srv/a%0Ab@" + d.String(),
		"oci:C:/models":                       "oci:C:/models@" + d.String(),
		"archive:/media/a.tar":                "archive:/media/a.tar@" + d.String(),
	} {
		got := statement.ResourceURI(name, d)
		if got != want {
			t.Errorf("%s: %s", name, got)
		}
		if pl, ok := statement.ParseResourceURI(got); !ok || pl != (statement.Place{Name: name, Digest: d}) {
			t.Errorf("%s: read as %+v", got, pl)
		}
	}
}

// Whatever a URI is, its place is the same when it is written again.
func FuzzParseResourceURI(f *testing.F) {
	d := digest.FromString("m")
	for _, uri := range []string{
		"oci://registry.example.com/team/demo@" + d.String(), "registry.example.com/demo:v1", "pkg:oci/demo@" + d.String() + "?repository_url=r.example/demo&tag=v1",
		"oci:/srv/a%20b@" + d.String(), "archive:/a@" + d.String(), "oci:C:/x",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		pl, ok := statement.ParseResourceURI(uri)
		if !ok {
			return
		}
		if pl.Digest == "" {
			pl.Digest = d
		}
		again, ok := statement.ParseResourceURI(statement.ResourceURI(pl.Name, pl.Digest))
		if pl.Tag = ""; !ok || again != pl {
			t.Fatalf("%q is %+v, and then %+v", uri, pl, again)
		}
	})
}
