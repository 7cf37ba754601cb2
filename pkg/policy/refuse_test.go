package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/policy"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	replace := func(old, with string) string {
		if !strings.Contains(full, old) {
			t.Fatalf("the policy has no %q", old)
		}
		return strings.Replace(full, old, with, 1)
	}
	for name, row := range map[string]struct {
		text string
		line int
		want string
	}{
		"nothing":                     {"", 0, "empty"},
		"only a comment":              {"# x\n", 0, "empty"},
		"null":                        {"null\n", 1, "mapping"},
		"a list":                      {"- a\n", 1, "mapping"},
		"no YAML":                     {"version: [\n", 1, ""},
		"tab":                         {"version: 1\n\tdefault: reject\n", 2, ""},
		"second document":             {full + "---\nversion: 1\n", 30, "second document"},
		"unknown key":                 {replace("default: reject", "default: reject\nextra: 1"), 4, `unknown key "extra"`},
		"unknown key in scope":        {replace("mode: enforce", "Mode: enforce"), 6, `unknown key "Mode"`},
		"unknown key in requirement":  {replace("- oms:\n          required: true", "- omss:\n          required: true"), 18, `unknown key "omss"`},
		"unknown key in signature":    {replace("threshold: 2", "treshold: 2"), 17, `unknown key "treshold"`},
		"unknown key in signer":       {replace("key: release.pub", "keys: release.pub"), 11, `unknown key "keys"`},
		"duplicate key":               {replace("default: reject", "default: reject\ndefault: reject"), 4, ""},
		"duplicate key in flow":       {replace("{name: release, key: release.pub}", "{name: release, name: x, key: release.pub}"), 25, ""},
		"no version":                  {replace("version: 1\n", ""), 2, "no version"},
		"version 2":                   {replace("version: 1", "version: 2"), 2, "version 2"},
		"version as text":             {replace("version: 1", "version: '1'"), 2, "whole number"},
		"version as float":            {replace("version: 1", "version: 1.0"), 2, "whole number"},
		"version too large":           {replace("version: 1", "version: 18446744073709551615"), 2, "whole number"},
		"no default":                  {replace("default: reject\n", ""), 2, "no default"},
		"default accept":              {replace("default: reject", "default: accept"), 3, "accept"},
		"default null":                {replace("default: reject", "default:"), 3, "text"},
		"no scopes":                   {"version: 1\ndefault: reject\n", 1, "no scopes"},
		"scopes as mapping":           {"version: 1\ndefault: reject\nscopes: {}\n", 3, "list"},
		"unknown mode":                {replace("mode: warn", "mode: audit"), 21, "audit"},
		"mode as bool":                {replace("mode: warn", "mode: true"), 21, "text"},
		"no prefix":                   {replace("prefix: registry.example.com/team\n    mode", "mode"), 5, "no prefix"},
		"equal prefixes":              {scopes("r.example/a", "r.example/a"), 7, "same prefix"},
		"equal prefixes by case":      {scopes("r.example/a", "R.example/a"), 7, "same prefix"},
		"no requirements":             {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n", 4, "no requirements"},
		"empty requirements":          {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n    requirements: []\n", 5, "accept everything"},
		"empty requirement":           {"version: 1\ndefault: reject\nscopes:\n  - prefix: a.b\n    requirements: [{}]\n", 5, "empty"},
		"two in one requirement":      {replace("          threshold: 2\n      - oms:", "          threshold: 2\n        oms:"), 0, "one thing"},
		"two oms":                     {replace("required: true\n", "required: true\n      - oms:\n          required: true\n"), 20, "oms"},
		"oms without required":        {replace("- oms:\n          required: true", "- oms: {}"), 18, "no required"},
		"oms required as text":        {replace("required: true", "required: 'yes'"), 19, "true or false"},
		"oms without anyone":          {replace("          signers: [{name: release, key: release.pub}, {name: other, key: keys/other.pub}]\n", ""), 23, "no signers"},
		"no signers":                  {replace("{signers: [{name: release, key: release.pub}]}", "{}"), 28, "no signers"},
		"empty signers":               {replace("{signers: [{name: release, key: release.pub}]}", "{signers: []}"), 28, "0 signers"},
		"signer without name":         {replace("{name: other, key", "{key"), 25, "no name"},
		"signer without key":          {replace("{name: other, key: keys/other.pub}", "{name: other}"), 25, "no key"},
		"signer with empty key":       {replace("key: keys/other.pub", "key: ' '"), 25, "empty"},
		"signer twice":                {replace("name: other", "name: release"), 25, ""},
		"one name for two keys":       {replace("name: release, key: release.pub}]}", "name: release, key: x.pub}]}"), 28, "another key"},
		"threshold 0":                 {replace("threshold: 2", "threshold: 0"), 17, "threshold"},
		"threshold 3 of 2":            {replace("threshold: 2", "threshold: 3"), 17, "threshold"},
		"threshold as text":           {replace("threshold: 2", "threshold: two"), 17, "whole number"},
		"anchor":                      {replace("prefix: registry.example.com/team", "prefix: &a registry.example.com/team"), 5, "anchors"},
		"alias":                       {replace("mode: warn", "mode: *a"), 21, ""},
		"merge key":                   {replace("mode: warn", "<<: {mode: warn}"), 21, ""},
		"tag":                         {replace("mode: warn", "mode: !!str warn"), 21, "tags"},
		"prefix with wildcard":        {scopes("r.example/*"), 4, "wildcard"},
		"prefix with slash":           {scopes("r.example/"), 4, "empty component"},
		"prefix beginning with slash": {scopes("/r"), 4, "empty component"},
		"prefix with tag":             {scopes("r.example/a:v1"), 4, "tag"},
		"prefix with digest":          {scopes("r.example/a@sha256:00"), 4, "digest"},
		"prefix as URL":               {scopes("https://r.example"), 4, "URL"},
		"empty prefix":                {scopes(""), 4, "empty"},
		"prefix with blank":           {scopes("a b"), 4, "blank"},
		"prefix without a host":       {scopes("ocr"), 4, `"ocr" does not begin with a registry host such as registry.example.com; no reference could match it`},
		"repository without a host":   {scopes("team/model"), 4, `"team/model" does not begin with a registry host`},
		"scheme without a path":       {scopes("oci"), 4, "does not begin with a registry host"},
		"port that is no number":      {scopes("ocr:models/a"), 4, "does not begin with a registry host"},
		"port without a host":         {scopes(":5000/a"), 4, "does not begin with a registry host"},
		"scheme in upper case":        {scopes("OCI:/srv/models"), 4, "neither a port"},
		"repository in upper case":    {scopes("R.Example/Team/a"), 4, `the repository must be lower case; write "R.Example/team/a"`},
		"no repository":               {scopes("r.example/team/-a"), 4, `"team/-a" is no repository: parts of a-z`},
		"repository with a detour":    {scopes("r.example/../a"), 4, "is no repository"},
		"relative layout":             {scopes("oci:models"), 4, "absolute"},
		"layout with detour":          {scopes("oci:/a/../b"), 4, "absolute"},
		"unknown scheme":              {scopes("docker:"), 4, "port"},
		"deep nesting":                {strings.Repeat("[", 1000), 1, "deep"},
		"deep nesting in lines":       {strings.Repeat("[\n", 1000), 65, "deep"},
		"long line":                   {strings.Repeat("- ", 4000), 1, "long"},
		"too large":                   {strings.Repeat("# x\n", 300_000), 0, "more than"},
		"too many lines":              {strings.Repeat("#\n", 10_001), 10_001, "lines"},
	} {
		p, err := policy.Parse("policy.yaml", []byte(row.text))
		var e *policy.Error
		switch {
		case err == nil:
			t.Errorf("%s: accepted as %+v", name, p)
		case !errors.As(err, &e):
			t.Errorf("%s: %v is no *policy.Error", name, err)
		case !strings.Contains(e.Message, row.want) || row.line != 0 && e.Line != row.line:
			t.Errorf("%s: %q, want line %d and %q", name, err, row.line, row.want)
		case !strings.HasPrefix(err.Error(), "policy.yaml:"):
			t.Errorf("%s: %q does not begin with the file", name, err)
		}
	}
}
